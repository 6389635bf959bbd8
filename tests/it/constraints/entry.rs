//! What is known of one constraint: a statement that breaks it, and the requests that would, with what their callers
//! are told; or why no request can.

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub enum By {
    Operator,
    Admin,
    /// An administrator of an organization that does not exist.
    Nobody,
}

/// A request, laid over that of the table of RPCs, and its outcome: code, reason and fields, or OK and the numbers.
pub struct Call {
    pub by: By,
    pub rpc: &'static str,
    pub request: &'static str,
    pub expected: &'static str,
}

/// What is known of a constraint.
pub struct Entry {
    pub name: &'static str,
    /// Breaks it, past the service; empty where no statement breaks it alone.
    pub sql: &'static str,
    /// Would break it. Of a foreign key: a reference to nothing, and the end of what is referred to.
    pub calls: &'static [Call],
    /// Why no request reaches it.
    pub beyond: &'static str,
}

pub const fn call(by: By, rpc: &'static str, request: &'static str, expected: &'static str) -> Call {
    Call { by, rpc, request, expected }
}

pub const fn wire(name: &'static str, sql: &'static str, calls: &'static [Call]) -> Entry {
    Entry { name, sql, calls, beyond: "" }
}

pub const fn beyond(name: &'static str, sql: &'static str, beyond: &'static str) -> Entry {
    Entry { name, sql, calls: &[], beyond }
}
