//! The admin endpoint: what tests do with methods, a person or a script does here over plain HTTP on loopback.
//!
//! `GET /accepted` (with `?data=1` also the messages), `GET /stats`, `GET /ca.pem`, `POST /faults` (a fault script as
//! JSON), `DELETE /faults`, `POST /tokens/expire-all`, `POST /secrets/expire` (of all secrets,
//! with `?id=` of those with this id).

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock;
use crate::fault::FaultScript;
use crate::http::{Answer, Handler, HttpRequest, respond};
use crate::pki::SimPki;
use crate::world::World;

/// The admin endpoint.
pub(crate) struct Admin {
    pub(crate) world: Arc<World>,
    pub(crate) pki: SimPki,
}

impl Handler for Admin {
    async fn answer(&self, request: HttpRequest) -> Answer {
        Answer::Respond(self.respond(&request))
    }
}

impl Admin {
    fn respond(&self, request: &HttpRequest) -> Response<Full<Bytes>> {
        let world = &self.world;
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/accepted") => {
                self.accepted(request.query.split('&').any(|part| part == "data=1"))
            }
            ("GET", "/stats") => json_response(&world.ledger.stats()),
            ("GET", "/ca.pem") => respond(200, "application/x-pem-file", self.pki.ca_pem()),
            ("POST", "/faults") => match serde_json::from_slice::<FaultScript>(&request.body) {
                Ok(script) => {
                    world.faults.extend(script);
                    done()
                }
                Err(error) => respond(
                    400,
                    "application/json",
                    json!({ "error": error.to_string() }).to_string(),
                ),
            },
            ("DELETE", "/faults") => {
                world.faults.clear();
                done()
            }
            ("POST", "/tokens/expire-all") => {
                world.tokens.expire_all(clock::now());
                done()
            }
            ("POST", "/secrets/expire") => {
                let id = request.query.split('&').find_map(|part| part.strip_prefix("id="));
                world.expire_secrets(id);
                done()
            }
            _ => {
                respond(404, "application/json", json!({ "error": "no such resource" }).to_string())
            }
        }
    }

    fn accepted(&self, with_data: bool) -> Response<Full<Bytes>> {
        let ledger = &self.world.ledger;
        let mails: Vec<Value> = ledger
            .accepted()
            .iter()
            .map(|mail| {
                let mut value = json!(**mail);
                value["size"] = json!(mail.data.len());
                if with_data {
                    value["data"] = json!(String::from_utf8_lossy(&mail.data));
                }
                value
            })
            .collect();
        json_response(&json!({
            "accepted": ledger.stats().mails_accepted,
            "mails": mails,
            "duplicates": ledger.duplicates(),
        }))
    }
}

fn json_response(value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("no map here has keys other than strings");
    respond(200, "application/json", body)
}

fn done() -> Response<Full<Bytes>> {
    respond(204, "application/json", "")
}
