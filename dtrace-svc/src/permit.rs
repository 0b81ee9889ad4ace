//! Who may do what with scripts, servers and virtual machines (contract `dtrace`, sections 2, 4 and 6).

use shared::identity::Principal;
use shared::permission;

/// The two words for scripts in permissions: the seed writes the first, the original's REST code the second.
pub(crate) const SPELLINGS: [&str; 2] = ["dtrace", "dtraces"];

/// Whether a pattern of the caller's allows `words`.
pub(crate) fn is_allowed(who: &Principal, words: &[&str]) -> bool {
    who.permissions.iter().any(|pattern| permission::matches(words, pattern))
}

/// Whether the caller may do `action` with all scripts, in either spelling.
pub(crate) fn is_cloud_allowed(who: &Principal, action: &str) -> bool {
    SPELLINGS.iter().any(|kind| is_allowed(who, &["cloud", kind, action]))
}

/// Whether the caller may do `action` with the script `id`, in either spelling.
pub(crate) fn is_script_allowed(who: &Principal, id: &str, action: &str) -> bool {
    SPELLINGS.iter().any(|kind| is_allowed(who, &[kind, id, action]))
}

/// Whether the caller may see what happens on a server.
pub(crate) fn is_server_allowed(who: &Principal, server: &str) -> bool {
    is_allowed(who, &["hypervisors", server, "get"])
}

/// Whether the caller may see what happens in a virtual machine.
pub(crate) fn is_vm_allowed(who: &Principal, vm: &str) -> bool {
    is_allowed(who, &["vms", vm, "get"])
}
