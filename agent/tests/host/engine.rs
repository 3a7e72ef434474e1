//! A Docker Engine of its own for one test, with stand-ins for NVIDIA's hook and runtime, which
//! note what they are told. It lives in a network namespace of its own: without a bridge of its
//! own it removes that of the first engine otherwise.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_common::ServerId;
use serde_json::{Value, json};

/// Root, a kernel that takes part, and the programs of an engine are needed.
const NEEDED: &str = "a second engine did not start: this test needs root and dockerd";

/// It was seen to be up after one second, five on a slow disk.
const PATIENCE: Duration = Duration::from_secs(180);

const IMAGE: &str = "berth/test-tiny:1";
const GREEDY: &str = "berth/test-greedy:1";

/// Lays a newer engine than the machine's own, Debian 13's or that of another suite, where tests keep
/// things, once. Its program needs nothing else of that suite.
const NEWER: &str = r#"
set -e
suite=${BERTH_ENGINE_SUITE:-trixie} at=$1/engine-$suite
mkdir -p "$1"; exec 9>"$1/engine.lock"; flock 9
if ! [ -x "$at/usr/sbin/dockerd" ]; then
  new=$at.new; rm -rf "$new"; mkdir -p "$new/lists/partial" "$new/archives/partial"; cd "$new"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources.list
  get() { apt-get -qq -o Dir::Etc::SourceList="$new/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Cache="$new" \
    -o Dir::State::Lists="$new/lists" -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@" >&2; }
  get update; get download docker.io
  dpkg-deb -x docker.io_*.deb .
  rm -rf lists archives ./*.deb ./*.bin; mv "$new" "$at"
fi
echo "$at/usr/sbin/dockerd"
"#;

pub struct Engine {
    folder: tempfile::TempDir,
    program: String,
    daemon: Child,
}

impl Engine {
    pub fn start() -> Self {
        Self::of("dockerd".to_owned(), &[])
    }

    /// A newer one, which knows these GPUs by CDI and no others.
    pub fn with_cdi(gpus: &[String]) -> Self {
        let laid = Command::new("bash")
            .args(["-c", NEWER, "bash", env!("CARGO_TARGET_TMPDIR")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&laid.stderr);
        assert!(laid.status.success(), "apt-get does not give docker.io of Debian 13: {said}");
        Self::of(String::from_utf8(laid.stdout).unwrap().trim().to_owned(), gpus)
    }

    fn of(program: String, gpus: &[String]) -> Self {
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
        fs::write(root.join("daemon.json"), daemon(root, gpus)).unwrap();
        // Kept in a file, so that the engine's next process has the same network.
        fs::write(root.join("net"), "").unwrap();
        let made = Command::new("unshare").arg(format!("--net={at}/net")).arg("true").status();
        assert!(made.unwrap().success(), "{NEEDED}");
        let mut engine = Self { daemon: Self::spawn(root, &program), program, folder };
        engine.answers();
        engine.make_images();
        engine
    }

    fn spawn(root: &Path, program: &str) -> Child {
        let at = root.display();
        let system = std::env::var("PATH").unwrap_or_default();
        let log = fs::File::options().create(true).append(true).open(root.join("log")).unwrap();
        Command::new("nsenter")
            .arg(format!("--net={at}/net"))
            .args([program, "--config-file", &format!("{at}/daemon.json")])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
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
        self.daemon = Self::spawn(self.folder.path(), &self.program);
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

    /// The environment that its main process was started with.
    pub fn started_with(&self, host: &str, server: &ServerId) -> Vec<String> {
        let file = format!("/proc/{}/environ", self.pid(host, server));
        let text = fs::read_to_string(file).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Whether it names the devices that it knows by CDI, as engines since 28.2 do.
    pub fn names_devices(&self) -> bool {
        let mut asked = UnixStream::connect(self.folder.path().join("sock")).unwrap();
        asked.write_all(b"GET /info HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        asked.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let info: Value = serde_json::from_str(body).unwrap();
        info["DiscoveredDevices"].as_array().is_some_and(|devices| !devices.is_empty())
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

/// The engine's own settings, with the GPUs that it is to know by CDI: what NVIDIA's toolkit writes
/// about each of them, with a device that is another.
fn daemon(root: &Path, gpus: &[String]) -> String {
    if gpus.is_empty() {
        return "{}".into();
    }
    let device = |(index, gpu): (usize, &String)| {
        json!({"name": gpu, "containerEdits": {
            "env": [format!("GIVEN_{index}={gpu}")],
            "deviceNodes": [{"path": format!("/dev/nvidia{index}"), "hostPath": "/dev/null"}],
        }})
    };
    let devices: Vec<Value> = gpus.iter().enumerate().map(device).collect();
    let spec = json!({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices});
    let folder = root.join("cdi");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("nvidia.json"), spec.to_string()).unwrap();
    json!({"features": {"cdi": true}, "cdi-spec-dirs": [folder]}).to_string()
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn lines(list: &Value) -> Vec<String> {
    let words = list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    words.collect()
}
