//! Every route × everybody.

use crate::place::{EVERYBODY, Place, Who};
use switchyard::dashboard::auth::Role;
use switchyard::dashboard::routes::{Access, Route, routes};

/// What a route answers to whom it lets in, with an empty object for a body; and who may, as this table has it.
/// The `Access` of the list is not asked: it is what is tested.
fn entry(route: &Route) -> Option<(u16, Access)> {
    let (viewer, operator) = (Access::Role(Role::Viewer), Access::Role(Role::Operator));
    let (fleet, admin) = (
        Access::EveryHost(Role::Viewer),
        Access::EveryHost(Role::Admin),
    );
    Some(match (route.method, route.path) {
        ("GET", "/" | "/hosts/{*place}" | "/access" | "/health") => (200, Access::Public),
        ("POST", "/api/login") => (400, Access::OurPage),
        ("POST", "/api/logout") => (204, viewer),
        ("POST", "/api/logout/all") => (200, viewer),
        ("GET", "/ws/agent") => (101, Access::Agent),
        ("GET", "/ws/browser") => (101, viewer),
        ("GET", "/metrics") => (200, fleet),
        ("GET", "/api/me" | "/api/hosts" | "/api/hosts/{id}" | "/api/hosts/{id}/runs") => {
            (200, viewer)
        }
        ("GET", "/api/hosts/{id}/runs/{run}" | "/api/hosts/{id}/runs/{run}/lines") => (200, viewer),
        ("GET", "/api/hosts/{id}/logs/download") => (200, viewer),
        // Without `q`.
        ("GET", "/api/hosts/{id}/runs/{run}/search") => (400, viewer),
        ("POST", "/api/hosts/{id}/command" | "/api/commands") => (400, operator),
        ("GET", "/api/audit" | "/api/sessions" | "/api/tokens") => (200, admin),
        ("POST", "/api/tokens") => (400, admin),
        ("POST", "/api/hosts/{id}/machine") => (400, Access::Role(Role::Admin)),
        ("DELETE", "/api/sessions") => (200, admin),
        ("DELETE", "/api/sessions/{session}" | "/api/tokens/{token}") => (404, admin),
        ("*", "/api" | "/api/{*rest}" | "/ws/{*rest}") => (404, viewer),
        _ => return None,
    })
}

/// What somebody gets from a route that answers `fine` to those it lets in.
fn expected(route: &Route, access: Access, fine: u16, who: Who) -> u16 {
    let is_unsafe = matches!(route.method, "POST" | "DELETE" | "*");
    let least = match access {
        Access::Public => return fine,
        Access::OurPage if who == Who::OtherOrigin => return 403,
        // Their bearer is no page of ours.
        Access::OurPage if matches!(who, Who::Agent | Who::OtherAgent | Who::TokenExpired) => {
            return 403;
        }
        Access::OurPage => return fine,
        Access::Agent if matches!(who, Who::Agent | Who::OtherAgent) => return fine,
        Access::Agent => return 401,
        Access::Role(role) | Access::EveryHost(role) => role,
    };
    let role = match who {
        Who::Viewer => Role::Viewer,
        Who::Operator => Role::Operator,
        Who::Admin | Who::Token | Who::TokenElsewhere => Role::Admin,
        // Cookie and no good Origin: another site may read nothing anyway, for want of the cookie.
        Who::OtherOrigin if is_unsafe || route.path == "/ws/browser" => return 403,
        Who::OtherOrigin => Role::Admin,
        Who::Nobody | Who::Expired | Who::Agent | Who::OtherAgent | Who::TokenExpired => {
            return 401;
        }
    };
    match access {
        _ if role < least => 403,
        Access::EveryHost(_) if who == Who::TokenElsewhere => 403,
        Access::Role(_) if who == Who::TokenElsewhere && route.path.contains("{id}") => 404,
        // Whoever has a password is asked for it again.
        _ if (route.method, route.path) == ("DELETE", "/api/sessions") && who == Who::Admin => 403,
        _ => fine,
    }
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let mut place = Place::start();
    let mut wrong = Vec::new();
    let mut asked = 0;
    // What ends sessions comes last.
    let mut all = routes();
    all.sort_by_key(|route| route.path.contains("logout") || route.method == "DELETE");
    for route in &all {
        let Some((fine, access)) = entry(route) else {
            wrong.push(format!("{} {} has no entry here", route.method, route.path));
            continue;
        };
        for who in EVERYBODY {
            let got = place.ask(route, who);
            let want = expected(route, access, fine, who);
            asked += 1;
            if got != want {
                wrong.push(format!(
                    "{} {} by {who:?}: {got}, not {want}",
                    route.method, route.path
                ));
            }
            let ends = (200..300).contains(&got)
                && (route.path.contains("logout") || route.path == "/api/sessions");
            if ends && route.method != "GET" {
                place.sign_in_again();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(asked, routes().len() * EVERYBODY.len());
}
