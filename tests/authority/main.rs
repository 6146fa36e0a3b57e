//! Every route and every message × everybody who may come. The routes are the router's own list, and the messages
//! the enumerations that the program itself reads them by: whoever adds one without an entry here fails this test.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;
mod of_keys;
mod of_messages;
mod of_routes;
mod place;
