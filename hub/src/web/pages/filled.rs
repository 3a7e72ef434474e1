//! A form that comes back after a refusal, with what was typed and what is wrong with it.

/// What stands in a form's fields, and which of them is wrong.
#[derive(Debug, Clone, Default)]
pub struct Filled<F> {
    /// As it was typed; at first, what the page proposes.
    pub typed: F,
    wrong: Option<(&'static str, String)>,
}

impl<F> Filled<F> {
    /// A form that was refused for this field, in a sentence.
    pub fn refused(typed: F, field: &'static str, why: impl ToString) -> Self {
        Self { typed, wrong: Some((field, why.to_string())) }
    }

    /// Whether it was refused.
    pub fn is_refused(&self) -> bool {
        self.wrong.is_some()
    }

    /// What is wrong with a field.
    pub fn wrong(&self, field: &str) -> Option<&str> {
        let (wrong, why) = self.wrong.as_ref()?;
        (*wrong == field).then_some(why.as_str())
    }
}
