//! A host asks over the link for itself to be emptied, and for nothing else.

use std::sync::Arc;

use axum::http::StatusCode;
use berth_common::HostId;
use berth_hub::link;
use berth_proto::identity::Identity;
use berth_proto::link::HostWish;
use berth_proto::link::link_client::LinkClient;
use berth_proto::tls::{self, Credential};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::site::Site;

/// Says something as a host.
async fn wishes(site: &Site, address: &str, host: &str, wish: HostWish) -> Result<String, Status> {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let host: HostId = host.parse().unwrap();
    let (leaf, _) = site.hub.ca.host_leaves(&host, request.der(), request.der()).unwrap();
    let credential = Credential::new(&leaf, &key.serialize_pem()).unwrap();
    let roots = tls::roots(site.hub.ca.pem()).unwrap();
    let config = tls::client_config(Some(credential), roots, Identity::Hub, &[b"h2"]).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(tls::server_name(), stream).await.unwrap();
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        std::future::ready(once.take().ok_or_else(|| std::io::Error::other("only once")))
    });
    let channel = Endpoint::from_static("http://hub").connect_with_connector(connector).await;
    let answer = LinkClient::new(channel.unwrap()).intend(wish).await?;
    Ok(answer.into_inner().words)
}

fn drained(reason: &str, within_s: u64) -> HostWish {
    HostWish { reason: reason.into(), open: false, within_s }
}

fn open() -> HostWish {
    HostWish { open: true, ..HostWish::default() }
}

#[tokio::test]
async fn a_host_is_emptied_by_its_own_wish_and_takes_back_only_that() {
    let site = Site::new().await;
    site.running("alice", "").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(link::serve(Arc::clone(&site.hub), listener));
    let admin = site.program("root_").await;
    let host = async || -> Value {
        let hosts = admin.get("/hub/api/berth/hosts").await.json()["hosts"].clone();
        hosts.as_array().unwrap().iter().find(|it| it["name"] == "wn1").unwrap().clone()
    };

    let said = wishes(&site, &address, "wn1", drained("  new disks ", 7200)).await.unwrap();
    assert_eq!(said, "wn1 takes nothing new and is being emptied of 1 servers, within 2h at most");
    let intent = host().await["intent"].clone();
    assert_eq!(intent["reason"], "new disks", "{intent}");
    assert_eq!(intent["who"], "host:wn1", "{intent}");
    assert_eq!(host().await["state"], "draining");
    let acts = admin.get("/hub/api/berth/audit").await.json();
    let mut acts = acts["audit"].as_array().unwrap().iter();
    let act = acts.find(|act| act["action"] == "host-drain").unwrap();
    assert_eq!((&act["actor"], &act["reason"]), (&json!("host:wn1"), &json!("new disks")), "{act}");

    let said = wishes(&site, &address, "wn1", open()).await.unwrap();
    assert_eq!(
        (said.as_str(), host().await["state"].clone()),
        ("wn1 takes servers", json!("ready"))
    );

    // Without a reason, as a host that nobody declared, against an administrator.
    for (name, wish, told) in [
        ("wn1", drained(" ", 0), "say why"),
        ("elsewhere", drained("x", 0), "the hub knows no host elsewhere"),
    ] {
        let refused = wishes(&site, &address, name, wish).await.unwrap_err();
        assert!(refused.message().contains(told), "{refused}");
    }
    let order = json!({ "intent": "cordoned", "reason": "it smells" }).to_string();
    let done = admin.json("PUT", "/hub/api/berth/hosts/wn1/intent", &order).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let refused = wishes(&site, &address, "wn1", open()).await.unwrap_err();
    assert!(refused.message().contains("root_ has ordered this already (it smells)"), "{refused}");
    assert_eq!(host().await["state"], "cordoned");
}
