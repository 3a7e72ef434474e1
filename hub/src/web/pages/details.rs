//! What a card says of its server when it is unfolded: how this start went, its spaces, its image,
//! and where to go on from there.

use askama::Template;
use berth_core::{Fleet, Server};

use crate::web::pages::card::{Card, image_title};
use crate::web::pages::spaces::{self, SpaceLine};
use crate::web::pages::tile;
use crate::web::pages::timeline::{self, Happened};
use crate::web::say;

/// The fold of a card.
#[derive(Debug, Clone, Template)]
#[template(path = "details.html")]
pub struct Details {
    /// For the server's page.
    id: String,
    timeline: Vec<Happened>,
    spaces: Vec<SpaceLine>,
    image: String,
    newer_image: bool,
    /// The form for one more like it.
    again: String,
    /// Where its owner reports a problem, with a ticket filled in.
    help: Option<String>,
}

impl Details {
    /// Those of a server that runs, or is about to. What has ended says how on the card itself.
    pub fn of(fleet: &Fleet, server: &Server, card: &Card) -> Option<Self> {
        server.is_active().then(|| Self {
            id: card.id.clone(),
            timeline: timeline::brief(server),
            spaces: spaces::of(fleet, server),
            image: image_title(fleet, &server.ask.image),
            newer_image: card.newer_image,
            again: format!("/hub/spawn?{}", tile::choices_of(&server.ask)),
            help: card.help.clone(),
        })
    }
}
