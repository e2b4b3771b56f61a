use std::collections::BTreeSet;

use nuncio_api::v1::FILE_DESCRIPTOR_SET;
use nuncio_core::job::CallerId;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::*;

/// The paths of all methods in these descriptors.
fn paths(descriptors: &[u8]) -> Vec<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let services = set.file.iter().flat_map(|file| {
        file.service.iter().map(move |service| (file.package().to_owned(), service))
    });
    let paths = services.flat_map(|(package, service)| {
        let path = |method: &prost_types::MethodDescriptorProto| {
            format!("/{package}.{}/{}", service.name(), method.name())
        };
        service.method.iter().map(path).collect::<Vec<_>>()
    });
    paths.collect()
}

#[test]
fn every_method_has_its_place_and_only_health_and_reflection_are_open() {
    let ours = paths(FILE_DESCRIPTOR_SET);
    let others =
        [tonic_health::pb::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET];
    let others: Vec<_> = others.into_iter().flat_map(paths).collect();
    assert!(50 < ours.len() && 2 < others.len());

    for path in &ours {
        let need = need(path).unwrap_or_else(|| panic!("`{path}` is missing in the table"));
        assert_ne!(need, Open, "{path}");
    }
    for path in &others {
        assert_eq!(need(path), Some(Open), "{path}");
    }
    let known: BTreeSet<_> = ours.into_iter().chain(others).collect();
    for (service, methods) in TABLE {
        for (method, _) in *methods {
            let path = format!("/{service}/{method}");
            assert!(known.contains(&path), "`{path}` is in the table and no method");
        }
    }
}

#[test]
fn a_permission_holds_no_other_and_a_node_may_what_nodes_need() {
    let caller = |permissions: &[Permission], is_node| Caller {
        id: CallerId("x".to_owned()),
        permissions: permissions.iter().copied().collect(),
        is_node,
    };
    let administrator = caller(&[Administer], false);
    assert_eq!(Only(Administer).missing(&administrator), None);
    assert_eq!(Only(Submit).missing(&administrator), Some(Submit));
    let node = caller(&[], true);
    assert_eq!(Nodes(Submit).missing(&node), None);
    assert_eq!(Only(Submit).missing(&node), Some(Submit));
    assert_eq!(Nodes(Submit).missing(&administrator), Some(Submit));
    for need in [Open, Only(Administer), Nodes(Read)] {
        assert_eq!(need.missing(&Caller::local()), None);
    }
}

#[test]
fn what_is_no_method_needs_nothing_as_it_is_not_there() {
    for path in ["", "/", "nuncio.v1.MailJobService/CreateMailJob", "/nuncio.v1.MailJobService"] {
        assert_eq!(need(path), None, "{path}");
    }
    assert_eq!(need("/nuncio.v1.MailJobService/CreateMailJob/x"), None);
}
