//! A Docker Engine of its own for one test, with stand-ins for NVIDIA's hook and runtime, which
//! note what they are told. It lives in a network namespace of its own: without a bridge of its
//! own it removes that of the first engine otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_common::ServerId;
use serde_json::Value;

/// Root, a kernel that takes part, and the programs of an engine are needed.
const NEEDED: &str = "a second engine did not start: this test needs root and dockerd";

/// It was seen to be up after one second, five on a slow disk.
const PATIENCE: Duration = Duration::from_secs(180);

const IMAGE: &str = "berth/test-tiny:1";
const GREEDY: &str = "berth/test-greedy:1";

pub struct Engine {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Engine {
    pub fn start() -> Self {
        super::docker::image();
        let folder = tempfile::Builder::new().prefix("be").tempdir().unwrap();
        let root = folder.path();
        // Containers' users must get through to their root file systems.
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir(root.join("bin")).unwrap();
        let at = root.display();
        script(
            &root.join("bin/nvidia-container-runtime-hook"),
            &format!(
                "bundle=$(sed 's/.*\"bundle\":\"\\([^\"]*\\)\".*/\\1/')\n\
                 if [ -e {at}/hook-fails ]; then cat {at}/hook-fails >&2; exit 1; fi\n\
                 cp \"$bundle/config.json\" {at}/hook-$(date +%s%N).json"
            ),
        );
        script(
            &root.join("bin/nvidia"),
            &format!(
                "case \" $* \" in *' create '*)\n\
                 bundle=$(echo \" $* \" | sed 's/.* --bundle \\([^ ]*\\) .*/\\1/')\n\
                 cp \"$bundle/config.json\" {at}/runtime-$(date +%s%N).json;; esac\n\
                 exec runc \"$@\""
            ),
        );
        // Kept in a file, so that the engine's next process has the same network.
        fs::write(root.join("net"), "").unwrap();
        let made = Command::new("unshare").arg(format!("--net={at}/net")).arg("true").status();
        assert!(made.unwrap().success(), "{NEEDED}");
        let mut engine = Self { daemon: Self::spawn(root), folder };
        engine.answers();
        engine.make_images();
        engine
    }

    fn spawn(root: &Path) -> Child {
        let at = root.display();
        let system = std::env::var("PATH").unwrap_or_default();
        let log = fs::File::options().create(true).append(true).open(root.join("log")).unwrap();
        Command::new("nsenter")
            .arg(format!("--net={at}/net"))
            .args(["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--storage-driver=vfs", "--log-level=warn", "--live-restore"])
            .args(["--data-root", &format!("{at}/data"), "--exec-root", &format!("{at}/exec")])
            .args(["--pidfile", &format!("{at}/pid"), "-H", &format!("unix://{at}/sock")])
            .args(["--add-runtime", &format!("nvidia={at}/bin/nvidia")])
            .env("PATH", format!("{at}/bin:{system}:/usr/sbin:/sbin"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect(NEEDED)
    }

    /// Waits until it answers.
    fn answers(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.try_docker(&["version"]).is_err() {
            let ended = self.daemon.try_wait().unwrap();
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < end, "{NEEDED}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.daemon.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends the engine, as `systemctl stop docker` does. Its containers run on.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.daemon.wait().unwrap();
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.daemon = Self::spawn(self.folder.path());
        self.answers();
    }

    /// From now on it accepts connections and says nothing.
    pub fn hangs(&self) {
        self.signal("STOP");
    }

    /// It goes on with all that it was asked meanwhile.
    pub fn goes_on(&self) {
        self.signal("CONT");
    }

    /// Keeps the files of a container from being removed, or no longer.
    pub fn holds_files(&self, container: &str, held: bool) {
        let id = self.docker(&["inspect", "-f", "{{.Id}}", container]);
        let data = self.folder.path().join("data");
        let layer = data.join("image/vfs/layerdb/mounts").join(id).join("mount-id");
        let files = data.join("vfs/dir").join(fs::read_to_string(layer).unwrap());
        let flag = if held { "+i" } else { "-i" };
        let changed = Command::new("chattr").arg(flag).arg(files).status().unwrap();
        assert!(changed.success(), "this file system knows no immutable files");
    }

    /// A small image, and one that asks for every GPU there is. Not copied from the first engine:
    /// this storage driver keeps the mode of the folder that an image was made from.
    fn make_images(&self) {
        let (socket, at) = (self.socket(), self.folder.path().display());
        let script = format!(
            "set -e; mkdir -p {at}/image/bin {at}/image/www
             cp $(command -v busybox) {at}/image/bin/busybox
             ln -s busybox {at}/image/bin/httpd
             import() {{ tar -C {at}/image -c bin www | docker -H {socket} import \"$@\"; }}
             import --change 'ENV PATH=/bin' - {IMAGE}
             import --change 'ENV PATH=/bin NVIDIA_VISIBLE_DEVICES=all LD_PRELOAD=./own.so' - {GREEDY}"
        );
        let made = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    pub fn socket(&self) -> String {
        format!("unix://{}/sock", self.folder.path().display())
    }

    pub fn image(&self) -> &'static str {
        IMAGE
    }

    /// Its environment says: all GPUs, and a library for whoever runs in it.
    pub fn greedy_image(&self) -> &'static str {
        GREEDY
    }

    pub fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output =
            Command::new("docker").args(["-H", &self.socket()]).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    pub fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
    }

    fn inspect(&self, host: &str, server: &ServerId) -> Value {
        let name = format!("berth.{host}.{server}");
        let all: Value = serde_json::from_str(&self.docker(&["inspect", &name])).unwrap();
        all[0].clone()
    }

    /// The main process of a server.
    pub fn pid(&self, host: &str, server: &ServerId) -> u64 {
        self.inspect(host, server)["State"]["Pid"].as_u64().unwrap()
    }

    /// The environment of a server as the engine keeps it.
    pub fn environment(&self, host: &str, server: &ServerId) -> Vec<String> {
        lines(&self.inspect(host, server)["Config"]["Env"])
    }

    /// What the hook was told: the environments, oldest first.
    pub fn hooked(&self) -> Vec<Vec<String>> {
        self.told("hook-")
    }

    /// What the runtime was told.
    pub fn runtime_saw(&self) -> Vec<Vec<String>> {
        self.told("runtime-")
    }

    fn told(&self, prefix: &str) -> Vec<Vec<String>> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(prefix) && name.ends_with(".json")
        };
        let mut files: Vec<_> = files.filter(ours).collect();
        files.sort();
        let environment = |path: PathBuf| {
            let config: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            lines(&config["process"]["env"])
        };
        files.into_iter().map(environment).collect()
    }

    /// From now on the hook says this and fails.
    pub fn hook_fails(&self, words: &str) {
        fs::write(self.folder.path().join("hook-fails"), words).unwrap();
    }

    /// From now on it works again.
    pub fn hook_works(&self) {
        let _ = fs::remove_file(self.folder.path().join("hook-fails"));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "CONT", &self.daemon.id().to_string()]).status();
        // Containers outlive their engine, and so would what they have mounted.
        if let Ok(ids) = self.try_docker(&["ps", "-aq"]) {
            for id in ids.split_whitespace() {
                let _ = self.try_docker(&["rm", "-f", id]);
            }
        }
        // As a person would end it, so that it takes its own processes and mounts with it.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
        let spaces = self.folder.path().join("exec").join("netns");
        for space in fs::read_dir(spaces).into_iter().flatten().flatten() {
            let _ = Command::new("umount").arg(space.path()).output();
        }
        let _ = Command::new("umount").arg(self.folder.path().join("net")).output();
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn lines(list: &Value) -> Vec<String> {
    let words = list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    words.collect()
}
