//! What the service knows of its own contract: the descriptor, read once, and the RPCs in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::pb;

static FILES: LazyLock<Vec<FileDescriptorProto>> = LazyLock::new(|| {
    // It is in the program: what cannot be read would fail every test.
    FileDescriptorSet::decode(pb::DESCRIPTOR).unwrap_or_default().file
});

/// Every RPC, and whether it is a stream in one direction at least.
static RPCS: LazyLock<HashMap<String, bool>> = LazyLock::new(|| {
    let mut rpcs = HashMap::new();
    for file in files() {
        for service in &file.service {
            rpcs.extend(service.method.iter().map(|rpc| {
                let name = format!("{}.{}/{}", file.package(), service.name(), rpc.name());
                (name, rpc.client_streaming() || rpc.server_streaming())
            }));
        }
    }
    rpcs
});

/// The files of the contract.
pub fn files() -> &'static [FileDescriptorProto] {
    &FILES
}

/// Tells whether the contract has an RPC, by a name such as `photometa.v1.PhotoService/GetPhoto`.
pub fn has(rpc: &str) -> bool {
    RPCS.contains_key(rpc)
}

/// The contract's own copy of an RPC's name: of those there are few.
pub fn name(rpc: &str) -> Option<&'static str> {
    RPCS.get_key_value(rpc).map(|(name, _)| name.as_str())
}

/// Tells whether an RPC is a stream, in one direction at least.
pub fn is_stream(rpc: &str) -> bool {
    RPCS.get(rpc).is_some_and(|streams| *streams)
}
