//! docs/rpcs.md is the contract with its comments, for people who do not read protos. `just rpcs` writes it.

mod page;

use std::fs;
use std::path::Path;

use photometa::auth::Role;

use crate::random::asked;
use crate::rpcs::{POOL, RPCS};

/// 1 writes the page before it is compared.
const WRITE: &str = "PHOTOMETA_TEST_WRITES_RPCS";

#[test]
fn page_of_the_rpcs_is_what_the_contract_says() {
    let (path, page) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rpcs.md"), page::render(&POOL));
    if asked::<u8>(WRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();

    let differs = stored.lines().zip(page.lines()).position(|(stored, new)| stored != new);
    assert!(
        stored == page,
        "docs/rpcs.md is out of date, from line {:?}; run `just rpcs`",
        differs.map(|line| line + 1)
    );
}

#[test]
fn page_of_the_rpcs_leaves_nothing_out_and_links_to_what_is_there() {
    let page = page::render(&POOL);

    for message in POOL.all_messages().filter(|message| page::is_ours(message.package_name())) {
        let fields = message.fields().filter(|field| !page.contains(&format!("`{}`", field.name())));
        let missing: Vec<_> = fields.map(|field| field.full_name().to_owned()).collect();
        assert!(missing.is_empty() || message.is_map_entry(), "{missing:?}");
    }
    for rpc in RPCS {
        let name = rpc.name.split_once('/').unwrap().1;
        assert!(page.contains(&format!("### {name}\n")), "{name}");
    }
    for link in page.split("](#").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
        let there = page.lines().any(|line| {
            line.contains(&format!("<a id=\"{link}\"></a>"))
                || line.starts_with('#') && line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == link
        });
        assert!(there, "nothing has the name {link}");
    }
}

#[test]
fn comments_of_rpcs_name_the_roles_that_may_call_them() {
    let word = |role: &Role| match role {
        Role::Operator => "operator",
        Role::OrgAdmin => "org_admin",
        Role::OrgUser => "org_user",
        Role::Service => "service",
    };
    for method in POOL
        .services()
        .filter(|service| page::is_ours(service.package_name()))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        let name = format!("{}/{}", method.parent_service().name(), method.name());
        let known: Vec<_> = RPCS.iter().find(|rpc| rpc.name == name).unwrap().roles.iter().map(word).collect();

        let (_, roles) = page::roles(&page::comment(&method.parent_file(), method.path()));

        let said: Vec<_> = roles.split(", ").map(|role| role.split(' ').next().unwrap_or_default()).collect();
        assert!(said == known || (roles == "every role" && known.len() == 4), "{name}: {said:?} and {known:?}");
    }
}
