//! `quintet migrate`: tables up to date, then end.

use crate::cli::Settings;
use crate::output::print_line;
use crate::product;

/// Migrates every service's tables.
pub(crate) fn migrate(settings: &Settings) -> anyhow::Result<()> {
    for name in product::migrate(&settings.source()?.common()?)? {
        print_line(&format!("{name}: tables are up to date"));
    }
    Ok(())
}
