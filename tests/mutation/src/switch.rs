//! Puts the mutants of a file into its text, each behind a switch (mutant schemata: Untch, Offutt
//! and Harrold, 1993), so that one build has them all.
//!
//! The text of the file stays as it is; only insertions are made. A mutated expression becomes
//! `(if is(7) { MUTATED } else { as it was })`, where MUTATED is the text that cargo-mutants would
//! make of the whole expression, so that the precedence of operators is what it would be there.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ExprBinary, Signature};

use crate::list::{Genre, Mutant};

/// A file with switches.
#[derive(Debug, Default)]
pub struct Switched {
    /// What it says now.
    pub text: String,
    /// The text of single mutants: what the compiler finds wrong there is wrong with them.
    pub own: Vec<(Range<usize>, u32)>,
    /// What stands behind switches, the inner after the outer: what else is wrong there comes of
    /// the switches of these mutants.
    pub sites: Vec<(Range<usize>, Vec<u32>)>,
    /// Those that no compiler takes, as their operators would stand where they must not.
    pub not_to_be_built: Vec<u32>,
    /// Those in constants and the like, where a switch cannot be.
    pub not_to_be_switched: Vec<u32>,
}

/// What is inserted.
enum Piece {
    Text(String),
    Own(u32, String),
    Open(Vec<u32>),
    Close,
}

struct Switcher<'a> {
    text: &'a str,
    /// Not switched yet: by kind and first byte.
    mutants: BTreeMap<(u8, usize), Vec<(u32, &'a Mutant)>>,
    pieces: Vec<(usize, Piece)>,
    not_to_be_built: Vec<u32>,
}

/// Puts these mutants, with their numbers, into the text of their file.
///
/// # Errors
/// The file is no Rust.
pub fn switch(text: &str, mutants: &[(u32, &Mutant)]) -> syn::Result<Switched> {
    let file = syn::parse_file(text)?;
    let mut switcher = Switcher {
        text,
        mutants: BTreeMap::new(),
        pieces: Vec::new(),
        not_to_be_built: Vec::new(),
    };
    for (number, mutant) in mutants {
        let at = (mutant.genre as u8, mutant.span.start.offset(text));
        switcher.mutants.entry(at).or_default().push((*number, mutant));
    }
    switcher.visit_file(&file);
    Ok(switcher.render())
}

fn is(number: u32) -> String {
    format!("::berth_common::mutants::is({number})")
}

fn range(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

/// Whether it is a condition like `a && let Some(b) = c`.
fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(ExprBinary { left, op: BinOp::And(_), right, .. }) => {
            has_let(left) || has_let(right)
        }
        _ => false,
    }
}

/// All operators of `a + b * c == d`, and all operands.
fn chain<'a>(binary: &'a ExprBinary, operators: &mut Vec<&'a BinOp>, operands: &mut Vec<&'a Expr>) {
    operators.push(&binary.op);
    for side in [&*binary.left, &*binary.right] {
        match side {
            Expr::Binary(inner) => chain(inner, operators, operands),
            other => operands.push(other),
        }
    }
}

impl<'a> Switcher<'a> {
    fn take(&mut self, genre: Genre, node: &impl Spanned) -> Vec<(u32, &'a Mutant)> {
        self.mutants.remove(&(genre as u8, range(node).start)).unwrap_or_default()
    }

    fn insert(&mut self, at: usize, piece: Piece) {
        self.pieces.push((at, piece));
    }

    fn open(&mut self, at: usize, mutants: &[(u32, &Mutant)]) {
        self.insert(at, Piece::Open(mutants.iter().map(|(number, _)| *number).collect()));
    }

    /// An expression becomes a choice between what it was and these mutants of it.
    fn choose(
        &mut self,
        whole: Range<usize>,
        mutants: Vec<(u32, &'a Mutant)>,
        inside: impl FnOnce(&mut Self),
    ) {
        let mut choices = Vec::new();
        for (number, mutant) in mutants {
            let (start, end) =
                (mutant.span.start.offset(self.text), mutant.span.end.offset(self.text));
            let (before, after) = (&self.text[whole.start..start], &self.text[end..whole.end]);
            let mutated = format!("{before}{} {after}", mutant.replacement);
            match syn::parse_str::<Expr>(&mutated) {
                Ok(_) => choices.push((number, mutant, mutated)),
                Err(_) => self.not_to_be_built.push(number),
            }
        }
        if choices.is_empty() {
            return inside(self);
        }
        let chosen: Vec<_> = choices.iter().map(|(number, mutant, _)| (*number, *mutant)).collect();
        self.open(whole.start, &chosen);
        self.insert(whole.start, Piece::Text("(".into()));
        for (number, _, mutated) in choices {
            // A comment may end the text.
            self.insert(whole.start, Piece::Text(format!("if {} {{\n", is(number))));
            self.insert(whole.start, Piece::Own(number, mutated));
            self.insert(whole.start, Piece::Text("\n} else ".into()));
        }
        self.insert(whole.start, Piece::Text("{\n".into()));
        inside(self);
        self.insert(whole.end, Piece::Text("\n})".into()));
        self.insert(whole.end, Piece::Close);
    }

    fn function(&mut self, signature: &Signature, body: &Block) {
        let (Some(first), None) = (body.stmts.first(), &signature.constness) else { return };
        let mutants = self.take(Genre::FnValue, first);
        let at = range(first).start;
        self.open(at, &mutants);
        for (number, mutant) in &mutants {
            self.insert(at, Piece::Text(format!("if {} {{\n", is(*number))));
            self.insert(at, Piece::Own(*number, format!("return {};", mutant.replacement)));
            self.insert(at, Piece::Text("\n}\n".into()));
        }
        self.visit_block(body);
        self.insert(range(body).end, Piece::Close);
    }

    fn guard(&mut self, guard: &Expr) {
        let whole = range(guard);
        let mutants =
            if has_let(guard) { Vec::new() } else { self.take(Genre::MatchArmGuard, guard) };
        self.open(whole.start, &mutants);
        let (always, never): (Vec<_>, Vec<_>) =
            mutants.iter().partition(|(_, mutant)| mutant.replacement == "true");
        for (number, _) in always {
            self.insert(whole.start, Piece::Text(format!("{} || ", is(number))));
        }
        for (number, _) in never {
            self.insert(whole.start, Piece::Text(format!("!{} && ", is(number))));
        }
        if mutants.is_empty() {
            self.visit_expr(guard);
        } else {
            self.insert(whole.start, Piece::Text("(".into()));
            self.visit_expr(guard);
            self.insert(whole.end, Piece::Text(")".into()));
        }
        self.insert(whole.end, Piece::Close);
    }

    fn render(mut self) -> Switched {
        // Stable: what is inserted at one place stays in its order, the outer around the inner.
        self.pieces.sort_by_key(|(at, _)| *at);
        let left = self.mutants.into_values().flatten().map(|(number, _)| number);
        let mut switched = Switched {
            not_to_be_built: self.not_to_be_built,
            not_to_be_switched: left.collect(),
            ..Switched::default()
        };
        let (mut copied, mut open) = (0, Vec::new());
        for (at, piece) in self.pieces {
            switched.text.push_str(&self.text[copied..at]);
            copied = at;
            let here = switched.text.len();
            match piece {
                Piece::Text(text) => switched.text.push_str(&text),
                Piece::Own(number, text) => {
                    switched.text.push_str(&text);
                    switched.own.push((here..switched.text.len(), number));
                }
                Piece::Open(mutants) => {
                    open.push(switched.sites.len());
                    switched.sites.push((here..here, mutants));
                }
                Piece::Close => {
                    if let Some(site) = open.pop() {
                        switched.sites[site].0.end = here;
                    }
                }
            }
        }
        switched.text.push_str(&self.text[copied..]);
        switched
    }
}

impl<'ast> Visit<'ast> for Switcher<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        if has_let(&binary.left) || has_let(&binary.right) {
            let mutants = self.take(Genre::BinaryOperator, &binary.op);
            self.not_to_be_built.extend(mutants.iter().map(|(number, _)| number));
            return visit::visit_expr_binary(self, binary);
        }
        let (mut operators, mut operands) = (Vec::new(), Vec::new());
        chain(binary, &mut operators, &mut operands);
        let mutants =
            operators.iter().flat_map(|op| self.take(Genre::BinaryOperator, op)).collect();
        self.choose(range(binary), mutants, |switcher| {
            operands.into_iter().for_each(|operand| switcher.visit_expr(operand));
        });
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let mutants = self.take(Genre::UnaryOperator, &unary.op);
        self.choose(range(unary), mutants, |switcher| switcher.visit_expr(&unary.expr));
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        let mutants =
            literal.fields.iter().flat_map(|field| self.take(Genre::StructField, field)).collect();
        self.choose(range(literal), mutants, |switcher| {
            visit::visit_expr_struct(switcher, literal);
        });
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let whole = range(arm);
        let missing = self.take(Genre::MatchArm, arm);
        self.open(whole.start, &missing);
        for (number, _) in &missing {
            self.insert(range(&arm.pat).end, Piece::Text(format!(" if !{}", is(*number))));
        }
        if let Some((_, guard)) = &arm.guard {
            self.guard(guard);
        }
        self.visit_expr(&arm.body);
        self.insert(whole.end, Piece::Close);
    }

    // Constants are made by the compiler, where nobody can switch.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_variant(&mut self, _: &'ast syn::Variant) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::list::{Place, Span};

    /// The nth mutant replaces the nth of these texts, each of which is once in the file.
    fn switched(text: &str, changes: &[(Genre, &str, &str)]) -> Switched {
        let place = |offset: usize| {
            let before = &text[..offset];
            let line = before.rfind('\n').map_or(0, |end| end + 1);
            Place {
                line: before.matches('\n').count() + 1,
                column: before[line..].chars().count() + 1,
            }
        };
        let mutants: Vec<_> = changes
            .iter()
            .map(|(genre, old, new)| {
                assert_eq!(text.matches(old).count(), 1, "{old}");
                let start = text.find(old).unwrap();
                Mutant {
                    name: String::new(),
                    file: String::new(),
                    span: Span { start: place(start), end: place(start + old.len()) },
                    replacement: (*new).to_owned(),
                    genre: *genre,
                }
            })
            .collect();
        switch(text, &(1..).zip(&mutants).collect::<Vec<_>>()).unwrap()
    }

    /// The same in one line, with a short name for the switch.
    fn brief(switched: &Switched) -> String {
        let short = switched.text.replace("::berth_common::mutants::", "");
        short.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_body_returns_early() {
        let done = switched("fn f() -> u8 { g(2) }", &[(Genre::FnValue, "g(2)", "0")]);
        assert_eq!(brief(&done), "fn f() -> u8 { if is(1) { return 0; } g(2) }");
        assert_eq!(&done.text[done.own[0].0.clone()], "return 0;");
        assert!(done.text[done.sites[0].0.clone()].ends_with("g(2) }"));
    }

    #[test]
    fn an_operator_is_replaced_in_the_text_of_all_it_stands_in() {
        // As text: `é` is one column and two bytes.
        let text = "fn f() -> bool { é + 2 * g(a && !b) }";
        let changes = [
            (Genre::BinaryOperator, "+", "-"),
            (Genre::BinaryOperator, "*", "+"),
            (Genre::BinaryOperator, "&&", "||"),
            (Genre::UnaryOperator, "!", ""),
        ];
        assert_eq!(
            brief(&switched(text, &changes)),
            "fn f() -> bool { (if is(1) { é - 2 * g(a && !b) } else if is(2) { é + 2 + g(a && !b) } \
             else { é + 2 * g((if is(3) { a || !b } else { a && (if is(4) { b } else { !b }) })) }) }"
        );
    }

    #[test]
    fn what_no_compiler_takes_is_said() {
        let text = "fn f() { if a == b && let Some(c) = d && e < g {} }";
        let first = text.replacen("&&", "AND", 1).find("AND").unwrap();
        assert_eq!(first, text.find("&& let").unwrap());
        let changes = [
            (Genre::BinaryOperator, "&& let", "|| let"),
            (Genre::BinaryOperator, "<", "=="),
            (Genre::BinaryOperator, "==", "!="),
        ];
        let done = switched(text, &changes);
        assert_eq!(done.not_to_be_built, [1]);
        assert_eq!(
            brief(&done),
            "fn f() { if (if is(3) { a != b } else { a == b }) && let Some(c) = d && \
             (if is(2) { e == g } else { e < g }) {} }"
        );
    }

    #[test]
    fn arms_guards_and_fields() {
        let text = "fn f() { match a { 1 => b, c if d(c) => S { x: 1, y: 2, ..e }, _ => g } }";
        let changes = [
            (Genre::MatchArm, "1 => b,", ""),
            (Genre::MatchArmGuard, "d(c)", "true"),
            (Genre::StructField, "x: 1,", ""),
        ];
        assert_eq!(
            brief(&switched(text, &changes)),
            "fn f() { match a { 1 if !is(1) => b, c if is(2) || (d(c)) => \
             (if is(3) { S { y: 2, ..e } } else { S { x: 1, y: 2, ..e } }), _ => g } }"
        );
    }

    #[test]
    fn constants_have_no_switch() {
        let text = "const A: u8 = 1 + 2; const fn f() -> u8 { 3 - 4 }";
        let changes = [(Genre::BinaryOperator, "+", "-"), (Genre::BinaryOperator, "-", "+")];
        // The arrow has a minus as well.
        let text = text.replace("-> u8", "");
        assert_eq!(switched(&text, &changes).not_to_be_switched.len(), 2);
    }
}
