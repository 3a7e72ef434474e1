//! What to type in a terminal so that an environment becomes a kernel.

/// The most that a path may be long.
const LONGEST: usize = 500;

/// For one environment.
#[derive(Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The commands, one a line, for any shell of POSIX.
    pub commands: String,
    /// The folder, below HOME, of the `kernel.json` that they write.
    pub folder: String,
}

impl Recipe {
    /// For an environment of conda or venv by its path; `None`: that is no path.
    pub fn of(environment: &str) -> Option<Self> {
        let path = environment.trim_end_matches('/');
        let rooted = path.starts_with("~/") || path.starts_with('/');
        if !rooted || path.len() > LONGEST || path.contains(char::is_control) {
            return None;
        }
        let title = path.rsplit('/').next()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = title.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        let name = name.trim_matches(['-', '.']).to_lowercase();
        if name.is_empty() {
            return None;
        }
        let python = quoted(&format!("{path}/bin/python"));
        let title = quoted(title);
        Some(Self {
            commands: format!(
                "{python} -m pip install ipykernel\n\
                 {python} -m ipykernel install --user --name {name} --display-name {title}"
            ),
            folder: format!("~/.local/share/jupyter/kernels/{name}"),
        })
    }
}

/// One word for the shell, whatever is in it. HOME is left for the shell to find.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    let (home, rest) = match text.strip_prefix("~/") {
        Some(rest) => ("~/", rest),
        None => ("", text),
    };
    if !rest.is_empty() && rest.chars().all(|c| is_plain(c) && c != '~') {
        return format!("{home}{rest}");
    }
    format!("{home}'{}'", rest.replace('\'', "'\\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_becomes_commands_and_nothing_else_does() {
        let recipe = Recipe::of("~/envs/My fit/").unwrap();
        assert_eq!(
            recipe.commands,
            "~/'envs/My fit/bin/python' -m pip install ipykernel\n\
             ~/'envs/My fit/bin/python' -m ipykernel install --user --name my-fit --display-name 'My fit'"
        );
        assert_eq!(recipe.folder, "~/.local/share/jupyter/kernels/my-fit");
        let hostile = Recipe::of("/sps/a'; rm -rf $HOME #").unwrap();
        assert!(hostile.commands.starts_with("'/sps/a'\\''; rm -rf $HOME #/bin/python' -m"));
        for none in ["", "envs/a", "~", "/", "~/", "/a\nb", "/.."] {
            assert_eq!(Recipe::of(none), None, "{none:?}");
        }
        assert_eq!(quoted("~/a/bin/python"), "~/a/bin/python");
    }
}
