//! A fake identity provider that says whatever a test wants, also what no honest one would.

use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_hub::config::login::{Claims, Oidc};
use berth_hub::config::secret::Secret;
use berth_process::clock::now;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};

/// Changes claims.
type Change = Box<dyn Fn(&mut Map<String, Value>) + Send>;
/// Makes a token of claims, with a key or without.
pub type Sign = Box<dyn Fn(&Key, &Value) -> String + Send>;

/// What the provider does. Tests change it between steps.
pub struct Behaviour {
    /// Changes the claims of the next ID token.
    pub claims: Change,
    /// Signs: header and payload in, token out.
    pub sign: Sign,
    /// What userinfo says.
    pub userinfo: Value,
    /// Whether anything is answered.
    pub down: bool,
    /// Changes its own description.
    pub document: Map<String, Value>,
    pub key: Arc<Key>,
    /// Keys that are published; the signing one may not be among them.
    pub published: Vec<Arc<Key>>,
    /// The nonce, challenge and redirect of logins that were begun, by code.
    pub codes: std::collections::BTreeMap<String, (String, String)>,
    /// How often the keys were asked for.
    pub keys_read: usize,
    pub token_calls: usize,
}

pub struct Key {
    pub kid: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(kid: &str) -> Arc<Self> {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        Arc::new(Self { kid: kid.into(), pair })
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
               "x": part(1..33), "y": part(33..65)})
    }

    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A token under this header, signed by this key.
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims)
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

pub fn seconds() -> i64 {
    now().0 / 1_000_000
}

#[derive(Clone)]
pub struct Provider {
    pub issuer: String,
    pub behaviour: Arc<Mutex<Behaviour>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/cc", listener.local_addr().unwrap());
        let key = Key::new("k1");
        let behaviour = Behaviour {
            claims: Box::new(|_| ()),
            sign: Box::new(|key, claims| key.sign(claims)),
            userinfo: json!({"sub": "s-alice"}),
            down: false,
            document: Map::new(),
            published: vec![Arc::clone(&key)],
            key,
            codes: Default::default(),
            keys_read: 0,
            token_calls: 0,
        };
        let provider = Self { issuer, behaviour: Arc::new(Mutex::new(behaviour)) };
        let router = Router::new()
            .route("/realms/cc/.well-known/openid-configuration", get(document))
            .route("/realms/cc/certs", get(certs))
            .route("/realms/cc/token", post(token))
            .route("/realms/cc/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    /// The next ID tokens have these claims changed.
    pub fn claims(&self, change: impl Fn(&mut Map<String, Value>) + Send + 'static) {
        self.set(|behaviour| behaviour.claims = Box::new(change));
    }

    pub fn config(&self) -> Oidc {
        Oidc {
            title: "Log in with CC".into(),
            issuer: self.issuer.clone(),
            client_id: "berth".into(),
            client_secret: Secret::new("s3 cret+"),
            scopes: vec!["openid".into(), "profile".into()],
            claims: Claims {
                uid: Some("uidNumber".into()),
                gid: Some("gidNumber".into()),
                groups: Some("groups".into()),
                ..Claims::default()
            },
            link_existing: false,
            provider_logout: true,
            ca: None,
        }
    }

    /// What the person's browser does at the provider: a code for what the hub asked for.
    pub fn authorize(&self, location: &str) -> (String, String) {
        let url = url::Url::parse(location).unwrap();
        let argument = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.unwrap_or_else(|| panic!("{name} in {location}")).1.into_owned()
        };
        assert_eq!(argument("response_type"), "code");
        assert_eq!(argument("code_challenge_method"), "S256");
        assert!(argument("redirect_uri").ends_with("/hub/oauth_callback"));
        let code = berth_hub::keys::secret();
        let begun = (argument("nonce"), argument("code_challenge"));
        self.set(|behaviour| {
            behaviour.codes.insert(code.clone(), begun);
        });
        (code, argument("state"))
    }

    /// A logout token with these claims changed.
    pub fn logout_token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = json!({
            "iss": self.issuer, "aud": "berth", "iat": seconds(), "exp": seconds() + 120,
            "jti": berth_hub::keys::secret(), "sub": "s-alice", "sid": "sid-1",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        change(claims.as_object_mut().unwrap());
        let key = Arc::clone(&self.behaviour.lock().unwrap().key);
        let header = json!({"alg": "ES256", "typ": "logout+jwt", "kid": key.kid});
        key.sign_under(&header, &claims)
    }
}

async fn document(State(provider): State<Provider>) -> Response {
    let behaviour = provider.behaviour.lock().unwrap();
    if behaviour.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let at = |path: &str| format!("{}/{path}", provider.issuer);
    let mut document = json!({
        "issuer": provider.issuer, "authorization_endpoint": at("auth"),
        "token_endpoint": at("token"), "jwks_uri": at("certs"),
        "userinfo_endpoint": at("userinfo"), "end_session_endpoint": at("logout"),
    });
    document.as_object_mut().unwrap().extend(behaviour.document.clone());
    Json(document).into_response()
}

async fn certs(State(provider): State<Provider>) -> Response {
    let mut behaviour = provider.behaviour.lock().unwrap();
    behaviour.keys_read += 1;
    if behaviour.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let mut keys: Vec<_> = behaviour.published.iter().map(|key| key.jwk()).collect();
    keys.push(json!({"kty": "of another world", "kid": "odd"}));
    Json(json!({ "keys": keys })).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<std::collections::BTreeMap<String, String>>,
) -> Response {
    let mut behaviour = provider.behaviour.lock().unwrap();
    behaviour.token_calls += 1;
    if behaviour.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let expected = "Basic YmVydGg6czMlMjBjcmV0JTJC"; // berth:s3%20cret%2B
    assert_eq!(headers["authorization"], expected, "the secret is encoded before it is joined");
    let refused =
        |why: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response();
    let Some((nonce, challenge)) = behaviour.codes.remove(&form["code"]) else {
        return refused("invalid_grant");
    };
    let proof = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(proof) != challenge {
        return refused("invalid_grant");
    }
    let mut claims = json!({
        "iss": provider.issuer, "sub": "s-alice", "aud": "berth", "iat": seconds(),
        "exp": seconds() + 300, "nonce": nonce, "sid": "sid-1", "preferred_username": "alice2",
        "uidNumber": 20001, "gidNumber": "30001", "groups": ["/atlas", "/lsst"],
    });
    (behaviour.claims)(claims.as_object_mut().unwrap());
    let id_token = (behaviour.sign)(&behaviour.key, &claims);
    Json(json!({"id_token": id_token, "access_token": "at", "token_type": "Bearer"}))
        .into_response()
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers["authorization"], "Bearer at");
    Json(provider.behaviour.lock().unwrap().userinfo.clone())
}
