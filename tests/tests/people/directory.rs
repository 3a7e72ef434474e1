//! The account directory with a real slapd, and a fake identity service that answers in JSON.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::parts::{BASE, Hub, Provider, Slapd};

fn ldap(slapd: &Slapd) -> String {
    format!(
        "[[source]]\nkind = \"ldap\"\nurl = \"{}\"\npeople = \"ou=people,{BASE}\"\n\
         groups = \"ou=groups,{BASE}\"\nbind = {{ dn = \"cn=admin,{BASE}\", password = {{ file = \"ldap-secret\" }} }}\n",
        slapd.url
    )
}

fn groups(account: &Value) -> Vec<String> {
    let groups = account["account"]["groups"].as_array().unwrap();
    groups
        .iter()
        .map(|group| format!("{}:{}", group["name"].as_str().unwrap(), group["gid"]))
        .collect()
}

/// A fake identity service: what it says of alice, or that it is broken.
#[derive(Clone)]
struct FakeIdnum {
    url: String,
    says: Arc<Mutex<(u16, Value)>>,
}

impl FakeIdnum {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/accounts/{{user}}", listener.local_addr().unwrap());
        let service = Self { url, says: Arc::new(Mutex::new((200, json!({})))) };
        let says = Arc::clone(&service.says);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                assert!(head.contains("authorization: Bearer adminpw"), "{head}");
                let (status, body) = says.lock().unwrap().clone();
                let (status, body) = if head.starts_with("GET /accounts/alice ") {
                    (status, body.to_string())
                } else {
                    (404, "{}".to_owned())
                };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        service
    }

    fn says(&self, status: u16, body: Value) {
        *self.says.lock().unwrap() = (status, body);
    }

    fn source(&self) -> String {
        format!(
            "[[source]]\nkind = \"http\"\nname = \"idnum\"\nurl = \"{}\"\nmust_know = true\n\
             token = {{ file = \"ldap-secret\" }}\nvalid_if = [\"active\"]\n\
             fields = {{ valid = \"account.status\", why = \"account.reason\", groups = \"account.groups\" }}\n",
            self.url
        )
    }
}

#[tokio::test]
async fn accounts_come_from_ldap_with_both_kinds_of_members() {
    let slapd = Slapd::start();
    let directory = format!("version = 1\ncache = \"0s\"\n{}", ldap(&slapd));
    let hub = Hub::start(&Hub::address(), "", Some(&directory));
    let alice = hub.account("alice").await;
    assert_eq!(alice["standing"], "valid", "{alice}");
    assert_eq!(
        (&alice["account"]["uid"], &alice["account"]["gid"]),
        (&20_001.into(), &30_001.into())
    );
    assert_eq!(alice["account"]["home"], "/pbs/home/a/alice");
    assert_eq!(groups(&alice), ["atlas:30001", "lsst:30003"]);
    // bob's main group does not list him.
    assert_eq!(groups(&hub.account("bob").await), ["belle2:30002", "lsst:30003"]);
    assert_eq!(hub.account("carol").await["standing"], "unknown");
    // A name is never a filter: nothing that means something to LDAP is a name here.
    let (status, _) = hub.admin("GET", "/hub/api/berth/users/alic%2A/account", "").await;
    assert_eq!(status, 404);

    // Members by the names of their entries, as RFC 2307bis has it.
    slapd.change(&format!(
        "dn: cn=km3net,ou=groups,{BASE}\nchangetype: add\nobjectClass: posixGroup\n\
         objectClass: extensibleObject\ncn: km3net\ngidNumber: 30005\n\
         member: uid=alice,ou=people,{BASE}\n"
    ));
    assert_eq!(groups(&hub.account("alice").await), ["atlas:30001", "km3net:30005", "lsst:30003"]);
}

#[tokio::test]
async fn a_login_with_an_ended_account_and_an_outage_of_the_directory() {
    let mut slapd = Slapd::start();
    let address = Hub::address();
    let provider = Provider::start(&address);
    let directory =
        format!("version = 1\ncache = \"0s\"\ncontact = \"the help desk\"\n{}", ldap(&slapd));
    let hub = Hub::start(&address, &Hub::oidc(&provider.issuer), Some(&directory));
    let log_in = async |name: &str| {
        let browser = Browser::new();
        let form = browser.open(&format!("{}/hub/oauth_login", hub.url)).await;
        let password = format!("{}pw", &name[..1]);
        let page = browser.post(&form.url, &[("username", name), ("password", &password)]).await;
        (browser.follow(page).await, browser)
    };
    let (page, alice) = log_in("alice").await;
    assert_eq!(page.status, 200, "{page:?}");
    // LDAP's numbers, not the provider's groups.
    assert_eq!(groups(&hub.account("alice").await), ["atlas:30001", "lsst:30003"]);

    slapd.stop();
    let account = hub.account("alice").await;
    assert_eq!(account["standing"], "valid", "its last word counts: {account}");
    assert!(account["sources"][0]["down"].is_string());
    let (page, _) = log_in("bob").await;
    assert_eq!(page.status, 503, "of bob nothing is known: {page:?}");
    assert!(page.text.contains("Ask the help desk."));
    assert_eq!(alice.whoami(&hub.url).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn an_account_that_is_deleted_in_ldap_comes_in_no_more() {
    let slapd = Slapd::start();
    let address = Hub::address();
    let provider = Provider::start(&address);
    let directory = format!("version = 1\ncache = \"0s\"\n{}", ldap(&slapd));
    let hub = Hub::start(&address, &Hub::oidc(&provider.issuer), Some(&directory));
    slapd.change(&format!("dn: uid=bob,ou=people,{BASE}\nchangetype: delete\n"));
    let browser = Browser::new();
    let form = browser.open(&format!("{}/hub/oauth_login", hub.url)).await;
    let page = browser.post(&form.url, &[("username", "bob"), ("password", "bpw")]).await;
    let page = browser.follow(page).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text.contains("This account is not known here."), "{page:?}");
    assert_eq!(browser.whoami(&hub.url).await, None);
}

#[tokio::test]
async fn an_identity_service_says_who_is_valid() {
    let slapd = Slapd::start();
    let idnum = FakeIdnum::start().await;
    let directory = format!("version = 1\ncache = \"0s\"\n{}{}", ldap(&slapd), idnum.source());
    let hub = Hub::start(&Hub::address(), "", Some(&directory));
    idnum.says(200, json!({"account": {"status": "active", "groups": ["lsst", "school"]}}));
    let alice = hub.account("alice").await;
    assert_eq!(alice["standing"], "valid", "{alice}");
    // Names without a number give rights and are no groups on the hosts.
    assert_eq!(groups(&alice), ["atlas:30001", "lsst:30003", "school:0"]);
    idnum.says(200, json!({"account": {"status": "closed", "reason": "contract ended"}}));
    let alice = hub.account("alice").await;
    assert_eq!(alice["reason"], "refused.account.invalid");
    assert_eq!(alice["why"], "idnum says that alice is not valid: contract ended.");
    // It must know everybody: bob it does not.
    assert_eq!(hub.account("bob").await["reason"], "refused.account.unknown");
    // Broken answers are outages: its last word counts, which was no.
    for (status, body) in
        [(500, json!({})), (200, json!([])), (200, json!({"account": {"status": 7}}))]
    {
        idnum.says(status, body);
        let alice = hub.account("alice").await;
        assert_eq!(alice["reason"], "refused.account.invalid", "{alice}");
        assert!(alice["sources"][1]["down"].is_string(), "{alice}");
    }
}
