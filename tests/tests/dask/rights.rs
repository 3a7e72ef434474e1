//! Who may use the gateway.

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

#[tokio::test]
async fn without_the_right_the_gateway_says_no_and_nothing_is_left_behind() {
    let site = Site::running();
    let eve = farm::person(&site, "dask-eve", 21_003).await;
    farm::start(&eve).await;
    let mut kernel = Kernel::start(&eve, "python3").await;
    let said = kernel
        .run(
            "
from dask_gateway import Gateway
try: Gateway().new_cluster()
except Exception as error: print('refused:', type(error).__name__, error)",
        )
        .await;
    let words = "refused: ValueError You may not use Dask Gateway. Ask your administrators for the \
                 right to it.";
    assert!(said.contains(words), "{said}");
    assert_eq!(farm::jobs("dask-eve", "all"), 0);
    eve.stop().await;
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
    // The gateway believes what it was told for half a minute.
    let said = until("the gateway refuses the token", async || {
        let (status, said) = clusters(&ann, token).await;
        (status == StatusCode::UNPROCESSABLE_ENTITY).then_some(said)
    })
    .await;
    assert!(said.contains("The hub does not take the token of this server"), "{said}");
}
