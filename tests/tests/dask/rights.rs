//! Who may use the gateway.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::farm;
use crate::kernel::Kernel;
use crate::site::{Person, Site, until};

/// The gateway's list of clusters, asked for with a token of the person's.
async fn clusters(person: &Person<'_>, token: &str) -> (StatusCode, String) {
    let url = format!("{}/services/dask-gateway/api/v1/clusters/", person.site.url);
    let request = person.site.http.get(url).header("authorization", format!("jupyterhub {token}"));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

const REFUSED: &str = "
from dask_gateway import Gateway
try: Gateway().new_cluster()
except Exception as error: print('refused:', type(error).__name__, error)";

const NO_RIGHT: &str = "refused: ValueError You may not use Dask Gateway by this token. Your administrators \
                        give the right to it; who has it starts a server of a profile for the farm, which \
                        carries it.";

#[tokio::test]
async fn without_the_right_the_gateway_says_no_and_nothing_is_left_behind() {
    let site = Site::running();
    let eve = farm::person(&site, "dask-eve", 21_003).await;
    farm::start(&eve).await;
    let mut kernel = Kernel::start(&eve, "python3").await;
    let said = kernel.run(REFUSED).await;
    assert!(said.contains(NO_RIGHT), "{said}");
    assert_eq!(farm::unfinished("dask-eve"), 0);
    eve.stop().await;
}

/// A profile for the farm, like the example's, whose servers' tokens carry no right.
struct Plain {
    file: PathBuf,
}

impl Plain {
    const NAME: &str = "dask-plain";

    fn new(site: &Site) -> Self {
        let folder = site.state.join("config/profiles.d");
        let dask = std::fs::read_to_string(folder.join("dask.toml")).unwrap();
        let own: Vec<_> = dask.lines().filter(|it| !it.starts_with("server_scopes")).collect();
        assert_eq!(own.len() + 1, dask.lines().count(), "the example's profile gives the right");
        let file = folder.join("dask-plain.toml");
        let text = own.join("\n").replace("[profile.dask", &format!("[profile.{}", Self::NAME));
        std::fs::write(&file, text).unwrap();
        Self { file }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

#[tokio::test]
async fn the_right_alone_opens_nothing_to_a_server_whose_profile_does_not_pass_it_on() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    assert_eq!(clusters(&ann, &ann.token).await.0, StatusCode::OK, "she herself has it");
    let plain = Plain::new(&site);
    farm::start_of(&ann, Plain::NAME).await;
    let mut kernel = Kernel::start(&ann, "python3").await;
    assert!(kernel.run(REFUSED).await.contains(NO_RIGHT));
    assert_eq!(farm::unfinished("dask-ann"), 0);
    ann.stop().await;
    drop(plain);
}

#[tokio::test]
async fn a_token_that_is_revoked_opens_the_gateway_no_longer() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    let path = "/hub/api/users/dask-ann/tokens";
    let body = json!({ "note": "gateway", "scopes": ["access:services!service=dask-gateway"] });
    let (status, made) = ann.call(Method::POST, path, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(clusters(&ann, token).await.0, StatusCode::OK);
    let (status, _) = ann.call(Method::DELETE, &format!("{path}/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    // The gateway believes what it was told for some seconds.
    let said = until("the gateway refuses the token", async || {
        let (status, said) = clusters(&ann, token).await;
        (status == StatusCode::UNPROCESSABLE_ENTITY).then_some(said)
    })
    .await;
    assert!(said.contains("The hub does not take this token: it was revoked"), "{said}");
}
