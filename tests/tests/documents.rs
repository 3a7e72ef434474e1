//! The documents are true: their links lead somewhere, the files that they name are there, and every
//! command that they show is one that the programs understand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

/// What people type.
const PROGRAMS: [&str; 4] = ["berth", "berth-hub", "berth-proxy", "berth-agent"];
/// A number as decisions, notices and orders have them.
const NUMBER: &str = "2026051204510000";
/// Folders of the repository: a word that begins with one of them names a file.
const FOLDERS: [&str; 8] =
    ["agent", "common", "examples", "hub", "packaging", "proto", "tests/bench", "tests/tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A document, as far as it can be wrong.
struct Document {
    /// Its name, from the root of the repository.
    name: String,
    folder: PathBuf,
    links: Vec<String>,
    /// The text of each heading.
    headings: Vec<String>,
    /// Code within sentences.
    spans: Vec<String>,
    /// Lines of blocks that people type.
    lines: Vec<String>,
}

impl Document {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let folder = path.parent().unwrap().to_owned();
        let (links, headings, spans, lines) = Default::default();
        let mut document = Self { name, folder, links, headings, spans, lines };
        let (mut heading, mut typed) = (None, false);
        for event in TextMergeStream::new(Parser::new_ext(&text, Options::ENABLE_TABLES)) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.headings.extend(heading.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                    typed = kind.starts_with("bash");
                }
                Event::End(TagEnd::CodeBlock) => typed = false,
                Event::Text(text) if typed => {
                    let joined = text.replace("\\\n", " ");
                    document.lines.extend(joined.lines().map(str::to_owned));
                }
                Event::Text(text) => heading.iter_mut().for_each(|it| it.push_str(&text)),
                Event::Code(code) => {
                    heading.iter_mut().for_each(|it| it.push_str(&code));
                    document.spans.push(code.to_string());
                }
                _ => {}
            }
        }
        document
    }

    /// What a link to a heading ends with.
    fn anchors(&self) -> BTreeSet<String> {
        let plain = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = |text: &String| {
            text.to_lowercase().chars().filter(plain).collect::<String>().replace(' ', "-")
        };
        self.headings.iter().map(anchor).collect()
    }
}

/// All documents that are kept with the sources.
fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // What is built, or belongs to somebody else.
            if name.starts_with('.') || ["target", "node_modules", "shared"].contains(&&*name) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(Document::read(&path));
            }
        }
    }
    assert!(found.len() > 15, "only {} documents: is this the repository?", found.len());
    found
}

/// All that is wrong, at once.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        for link in document.links.iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                root().join(&document.name)
            } else {
                document.folder.join(file)
            };
            let heading = || Document::read(&target.canonicalize().unwrap()).anchors();
            if !target.exists() || !(anchor.is_empty() || heading().contains(anchor)) {
                wrong.push(format!("{}: {link} leads nowhere", document.name));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_that_are_named_are_there() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for document in documents() {
        for span in &document.spans {
            let word = span.split(' ').next().unwrap_or_default().trim_start_matches("./");
            let ours = FOLDERS.iter().any(|it| {
                word.strip_prefix(it).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
            });
            // Several files at once, or a name to be filled in.
            if !ours || word.contains(['*', '{', '<', '$', ':']) {
                continue;
            }
            seen += 1;
            // What an example makes, it makes when it runs.
            if !root().join(word).exists() && !word.contains("/.state") {
                wrong.push(format!("{}: there is no {word}", document.name));
            }
        }
    }
    assert!(seen > 30, "only {seen} files are named: is it looked for in the right way?");
    assert_none(&wrong);
}

/// The commands of ours in a line of shell, with what follows them.
fn commands(line: &str) -> Vec<Vec<String>> {
    let words: Vec<String> = shlex::Shlex::new(line).collect();
    let ends = |word: &String| matches!(word.as_str(), "|" | "||" | "&&" | ";" | ">" | ">>" | "<");
    let of_ours = |part: &[String]| {
        // Before it may stand what the environment is to be, or who runs it.
        let from = part.iter().position(|word| !word.contains('=') || word.starts_with('-'))?;
        let part = part.get(from..)?;
        let part = match part.iter().position(|word| word == "--") {
            Some(at) if part[0] == "runuser" => part.get(at + 1..)?,
            _ => part,
        };
        let name = part.first()?.rsplit('/').next()?;
        let ours = PROGRAMS.contains(&name) && part.len() > 1;
        let rest = part.iter().skip(1).cloned();
        ours.then(|| [name.to_owned()].into_iter().chain(rest).collect())
    };
    words.split(ends).filter_map(of_ours).collect()
}

#[test]
fn a_line_of_shell_is_understood() {
    let found =
        commands("A=b runuser -u berth -- berth-hub backup \"/x/$(date +%F).b\" && ls # berth x");
    assert_eq!(found, [["berth-hub", "backup", "/x/$(date +%F).b"]]);
    assert_eq!(commands("target/release/berth host list || true"), [["berth", "host", "list"]]);
    assert!(commands("dnf install -y berth-hub berth").is_empty());
}

#[test]
fn commands_that_are_shown_are_understood() {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let (mut wrong, mut tried) = (Vec::new(), BTreeSet::new());
    for document in documents() {
        for line in document.lines.iter().chain(&document.spans) {
            for command in commands(line) {
                if !tried.insert(command.clone()) {
                    continue;
                }
                // Names to be filled in are names. What an example leaves out cannot be missed
                // here, since help ends the reading; nothing is done.
                let arguments = command.iter().skip(1).map(|word| match word.as_str() {
                    "ID" => NUMBER.to_owned(),
                    name if name.chars().all(|c| c.is_ascii_uppercase()) => name.to_lowercase(),
                    _ => word.clone(),
                });
                let program = folder.join(&command[0]);
                let mut shown = Command::new(&program);
                let output = shown.args(arguments).arg("--help").output().unwrap_or_else(|error| {
                    panic!("{}: {error}; build the programs first", program.display())
                });
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    let said = said.lines().next().unwrap_or_default();
                    wrong.push(format!("{}: `{}`: {said}", document.name, command.join(" ")));
                }
            }
        }
    }
    assert!(
        tried.len() > 50,
        "only {} commands: are they looked for in the right way?",
        tried.len()
    );
    assert_none(&wrong);
}
