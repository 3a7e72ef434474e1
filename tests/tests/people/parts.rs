//! The programs that a test starts: hub, provider, slapd. Each on ports of its own, each ended with
//! the test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A program that is not ready by then will not be.
const WITHIN: Duration = Duration::from_secs(60);

/// A program that ends with the test.
pub struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Starts a program and waits for the line by which it says that it is ready. Returns that
    /// line.
    pub fn start(command: &mut Command, ready: &str) -> (Self, String) {
        let shown = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let mut program = Self(child);
        let (out, err) = (program.0.stdout.take().unwrap(), program.0.stderr.take().unwrap());
        let (say, said) = mpsc::channel();
        follow(out, say.clone());
        follow(err, say);
        let end = Instant::now() + WITHIN;
        loop {
            let line = said.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|why| panic!("{shown} was not ready: {why}"));
            if line.contains(ready) {
                return (program, line);
            }
        }
    }
}

impl Program {
    /// Starts a program that does not say when it is ready.
    pub fn run(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}")))
    }

    /// Asks it to end and waits until it has: what it has started itself ends with it.
    fn end(&mut self) {
        // It may have ended already, and a test that fails is failing enough.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Reads on to the end, or the program would wait for its reader. What it says is shown with a
/// test that fails.
fn follow(stream: impl Read + Send + 'static, say: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            println!("{line}");
            let _ = say.send(line);
        }
    });
}

/// A port that nobody uses. Between this and its use somebody else could take it; then the test
/// fails loudly.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One of our programs.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("BERTH_BIN").map(PathBuf::from);
    folder.unwrap_or_else(|| root().join("target/release")).join(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn from_run(name: &str) -> PathBuf {
    let message = "is not set: start these tests by tests/run people";
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} {message}")).into()
}

/// A real OpenID Connect provider with alice and bob.
pub struct Provider {
    pub issuer: String,
    folder: tempfile::TempDir,
    rp: String,
    program: Option<Program>,
}

impl Provider {
    pub fn start(rp: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut provider = Self { issuer: String::new(), folder, rp: rp.to_owned(), program: None };
        provider.people(&["alice", "bob"]);
        provider.run(0);
        provider
    }

    /// The people whom it knows.
    pub fn people(&self, names: &[&str]) {
        let people = names.iter().enumerate().map(|(number, name)| {
            let person = json!({
                "password": format!("{}pw", &name[..1]),
                "claims": {
                    "preferred_username": name, "email": format!("{name}@example.org"),
                    "uidNumber": 20_001 + number, "gidNumber": 30_001 + number,
                    "groups": ["/atlas", "/lsst"],
                },
            });
            ((*name).to_owned(), person)
        });
        let people: serde_json::Map<String, Value> = people.collect();
        std::fs::write(self.users(), Value::Object(people).to_string()).unwrap();
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("users.json")
    }

    fn run(&mut self, port: u16) {
        let mut node = Command::new("node");
        node.arg("op.mjs").current_dir(from_run("BERTH_PEOPLE"));
        node.env("USERS", self.users()).env("RP", &self.rp).env("PORT", port.to_string());
        let (program, issuer) = Program::start(&mut node, "http://");
        self.program = Some(program);
        self.issuer = issuer;
    }

    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Starts it again at the same address, with new keys and without its sessions.
    pub fn restart(&mut self) {
        self.stop();
        let url = reqwest::Url::parse(&self.issuer).unwrap();
        self.run(url.port().unwrap());
    }
}

/// A real slapd with alice (atlas, lsst) and bob (belle2, lsst).
pub struct Slapd {
    pub url: String,
    folder: tempfile::TempDir,
    program: Option<Program>,
}

/// Where the test's people are.
pub const BASE: &str = "dc=cc,dc=example";

impl Slapd {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("db")).unwrap();
        let schemas = ["core", "cosine", "nis", "inetorgperson"]
            .map(|name| format!("include /etc/ldap/schema/{name}.schema"));
        let config = format!(
            "{}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\ndatabase mdb\n\
             suffix \"{BASE}\"\nrootdn \"cn=admin,{BASE}\"\nrootpw adminpw\ndirectory {}\n\
             maxsize 104857600\nindex objectClass,uid,memberUid,member,uidNumber,gidNumber eq\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by users read by anonymous read\n",
            schemas.join("\n"),
            at("pid").display(),
            at("db").display(),
        );
        std::fs::write(at("slapd.conf"), config).unwrap();
        std::fs::write(at("people.ldif"), people()).unwrap();
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f"])
            .arg(at("slapd.conf"))
            .arg("-l")
            .arg(at("people.ldif"))
            .status();
        assert!(added.expect("slapadd: start these tests by tests/run people").success());
        let url = format!("ldap://127.0.0.1:{}", free_port());
        let mut slapd = Self { url, folder, program: None };
        slapd.run();
        slapd
    }

    /// Runs until it is stopped; ready once it answers.
    pub fn run(&mut self) {
        let mut command = Command::new("/usr/sbin/slapd");
        command.args(["-d", "0", "-h", &self.url, "-f"]).arg(self.folder.path().join("slapd.conf"));
        self.program = Some(Program::run(&mut command));
        let end = Instant::now() + WITHIN;
        let address = self.url.trim_start_matches("ldap://");
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "slapd does not answer");
            std::thread::yield_now();
        }
    }

    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Changes entries, as an administrator would.
    pub fn change(&self, ldif: &str) {
        use std::io::Write;
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url, "-D", &format!("cn=admin,{BASE}"), "-w", "adminpw"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ldapmodify");
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{ldif}");
    }
}

fn people() -> String {
    let mut ldif =
        format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: CC\ndc: cc\n\n");
    for unit in ["people", "groups"] {
        ldif += &format!("dn: ou={unit},{BASE}\nobjectClass: organizationalUnit\nou: {unit}\n\n");
    }
    for (name, uid, gid) in [("alice", 20_001, 30_001), ("bob", 20_002, 30_002)] {
        ldif += &format!(
            "dn: uid={name},ou=people,{BASE}\nobjectClass: inetOrgPerson\n\
             objectClass: posixAccount\nuid: {name}\ncn: {name}\nsn: {name}\nuidNumber: {uid}\n\
             gidNumber: {gid}\nhomeDirectory: /pbs/home/{}/{name}\nuserPassword: {name}pw\n\n",
            &name[..1]
        );
    }
    let groups = [
        ("atlas", 30_001, "memberUid: alice\n"),
        ("belle2", 30_002, ""),
        ("lsst", 30_003, "memberUid: alice\nmemberUid: bob\n"),
        ("other", 30_004, "memberUid: alicebob\n"),
    ];
    for (name, gid, members) in groups {
        ldif += &format!(
            "dn: cn={name},ou=groups,{BASE}\nobjectClass: posixGroup\ncn: {name}\n\
             gidNumber: {gid}\n{members}\n"
        );
    }
    ldif
}

/// The real hub.
pub struct Hub {
    pub url: String,
    folder: tempfile::TempDir,
    program: Program,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.program.end();
    }
}

impl Hub {
    /// A port for a hub that is started later: the provider must know its address first.
    pub fn address() -> String {
        format!("http://127.0.0.1:{}", free_port())
    }

    /// Starts a hub at an address. `login` is added to hub.toml, `directory` is directory.toml.
    pub fn start(url: &str, login: &str, directory: Option<&str>) -> Self {
        let files: Vec<_> = directory.map(|text| ("directory.toml", text)).into_iter().collect();
        Self::with(url, url, login, &files)
    }

    /// Starts a hub that people reach through a proxy at an address, while it listens at another.
    pub fn behind(url: &str, listen: &str, files: &[(&str, &str)]) -> Self {
        Self::with(url, listen, "", files)
    }

    fn with(url: &str, listen: &str, login: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let listen = listen.trim_start_matches("http://");
        let hub = format!(
            "version = 1\n[hub]\npublic_url = \"{url}\"\nlisten = \"{listen}\"\n\
             state = \"{0}/state\"\nadmin_socket = \"{0}/admin.sock\"\n\
             [agents]\nlisten = \"127.0.0.1:0\"\n[proxy]\napi = \"unix:{0}/proxy.sock\"\n{login}",
            path.display()
        );
        let files = [
            ("hub.toml", hub.as_str()),
            ("pools.toml", "version = 1\n[pool.cpu]\n"),
            ("hosts.toml", "version = 1\n[[host]]\nnames = \"wn1\"\npool = \"cpu\"\n"),
            ("images.toml", "version = 1\n[image.base]\nref = \"nb:1\"\ntitle = \"Base\"\n"),
            (
                "profiles.toml",
                "version = 1\n[profile.cpu]\ntitle = \"CPU\"\npool = \"cpu\"\ndefault = true\n\
                 images = [\"base\"]\nmemory = { default = \"1 GB\", choices = [\"1 GB\"], max = \"2 GB\" }\n",
            ),
            ("oidc-secret", "s3cret\n"),
            ("ldap-secret", "adminpw\n"),
        ];
        for (name, text) in files.iter().chain(more) {
            std::fs::write(path.join(name), text).unwrap();
        }
        let mut command = Command::new(program("berth-hub"));
        command.args(["serve", "--config"]).arg(path);
        let (program, _) = Program::start(&mut command, "hub is ready");
        Self { url: url.to_owned(), folder, program }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The section for a provider, as a site with Keycloak has it.
    pub fn oidc(issuer: &str) -> String {
        format!(
            "[login.oidc]\ntitle = \"Log in with CC\"\nissuer = \"{issuer}\"\nclient_id = \"berth\"\n\
             client_secret = {{ file = \"oidc-secret\" }}\nscopes = [\"openid\", \"profile\", \"groups\"]\n\
             claims = {{ uid = \"uidNumber\", gid = \"gidNumber\", groups = \"groups\" }}\n"
        )
    }

    /// A call over the administrators' socket: status and JSON.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let socket = self.folder.path().join("admin.sock");
        let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// What the directory says of an account.
    pub async fn account(&self, user: &str) -> Value {
        let path = format!("/hub/api/berth/users/{user}/account");
        let (status, answer) = self.admin("GET", &path, "").await;
        assert_eq!(status, 200, "{answer}");
        answer["account"].clone()
    }
}
