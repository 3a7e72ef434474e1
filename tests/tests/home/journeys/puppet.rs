//! Journey 5: Puppet adds a host. Nobody touches the hub: a file is put into `hosts.d`, agents dial.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::site::{Site, told};

use super::{ROW, browser_of, go, see_part};

/// The new hosts, and one that no file names.
const NEW: &str = "ccjn08";
const SMALLER: &str = "ccjn09";
const STRANGER: &str = "ccjn99";

pub async fn puppet_adds_a_host(site: &Site) {
    let admin = browser_of(site, "admin").await;
    go(&admin, site, "/hub/admin/hosts").await;

    // The file comes: both are expected, and nothing was restarted.
    declare(site, "64 GB");
    see_part(&admin, ROW, NEW, &["joining"]).await;
    see_part(&admin, ROW, SMALLER, &["joining"]).await;

    // Who is in no file gets no identity.
    let refused = berth(site, &["host", "add", STRANGER, "-q"]);
    assert!(refused.unwrap_err().contains("is not declared"));

    // The agents dial. One has what was declared, the other half of it, which is said.
    let _agents = Agents::start(site);
    see_part(&admin, ROW, NEW, &["ready"]).await;
    see_part(&admin, ROW, SMALLER, &["joining", "64 GB", "32 GB", "host.mismatch"]).await;
    admin.shot("40-host-mismatch").await;

    // Puppet corrects the file.
    declare(site, "32 GB");
    see_part(&admin, ROW, SMALLER, &["ready"]).await;

    // Its first server, since nothing else takes any.
    let others: Vec<String> =
        (1..=7).map(|n| format!("ccjn0{n}")).chain([SMALLER.into()]).collect();
    let with = |verb: &str| -> Vec<String> {
        let words = ["host", verb].map(String::from).into_iter();
        words.chain(others.iter().cloned()).collect()
    };
    let mut cordon = with("cordon");
    cordon.extend(["--reason".into(), "the new one first".into()]);
    berth(site, &cordon).unwrap();
    let start = ["server", "start", "--user", "walter2", "--profile", "cpu", "--memory", "2G"];
    berth(site, &["user", "add", "walter2", "--uid", "28100", "--gid", "38100", "-q"]).unwrap();
    berth(site, &start).unwrap();
    berth(site, &with("uncordon")).unwrap();
    assert_eq!(site.server("walter2", "").unwrap()["host"], NEW);

    // Taken out of the files it takes nothing new, and what runs there goes on.
    std::fs::remove_file(file(site)).unwrap();
    see_part(&admin, ROW, NEW, &["undeclared", "host.undeclared"]).await;
    admin.shot("41-host-undeclared").await;
    let server = site.server("walter2", "").unwrap();
    assert_eq!((&server["state"], &server["host"]), (&"running".into(), &NEW.into()), "{server}");
    admin.close().await;
}

fn file(site: &Site) -> PathBuf {
    site.state().join("config/hosts.d/40-new.toml")
}

/// Puts the file in place, whole, as Puppet does.
fn declare(site: &Site, smaller: &str) {
    let host = |name: &str, memory: &str| {
        format!(
            "{{ names = \"{name}\", pool = \"cpu\", memory = \"{memory}\", keep_free = \"3 GB\" }}"
        )
    };
    let text =
        format!("version = 1\nhost = [{}, {}]\n", host(NEW, "64 GB"), host(SMALLER, smaller));
    let new = site.state().join("new.toml");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file(site)).unwrap();
}

/// What a command says, or why it does not.
fn berth(site: &Site, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Result<String, String> {
    let output = site.command("berth").args(arguments).output().unwrap();
    let said = told(&output);
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// The agents of the new hosts, which are fake.
struct Agents(Child);

impl Agents {
    fn start(site: &Site) -> Self {
        let folder = site.state().join("new");
        std::fs::create_dir_all(&folder).unwrap();
        let image = "images.example.org/berth/notebook:2026.05";
        let host = |name: &str, memory: &str| {
            format!(
                "[[host]]\nnames = [\"{name}\"]\nmemory = \"{memory}\"\ncpus = 8\nimages = [\"{image}\"]\n"
            )
        };
        let inventory = folder.join("inventory.toml");
        let text = format!("version = 1\n{}{}", host(NEW, "64 GB"), host(SMALLER, "32 GB"));
        std::fs::write(&inventory, text).unwrap();
        let token = |name| berth(site, &["host", "add", name, "-q"]).unwrap();
        let tokens = folder.join("tokens");
        let text = format!("{NEW} {}\n{SMALLER} {}\n", token(NEW).trim(), token(SMALLER).trim());
        std::fs::write(&tokens, text).unwrap();
        let mut command: Command = site.command("berth-agent");
        command.arg("swarm").arg("--inventory").arg(inventory).arg("--hub").arg(site.link());
        command.arg("--state").arg(folder.join("hosts")).arg("--tokens").arg(tokens);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
