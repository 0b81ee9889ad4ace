# `just` lists what there is.
default:
    @just --list

# Format everything
fmt:
    cargo fmt --all

# Lint everything
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Tests on SQLite
test:
    cargo nextest run --workspace

# Tests on PostgreSQL (scripts/services starts one)
test-pg:
    scripts/services start postgres >/dev/null
    env $(scripts/services env | grep POSTGRES) cargo nextest run -p quintet-gateway -p events-svc -p streams-svc -p annotate-svc -p dtrace-svc

# What the page of annotations computes
test-page:
    node --test annotate-svc/src/page/tests/*.js

# The whole product through its front door
e2e:
    cargo nextest run -p e2e

# API documentation of the code
doc:
    cargo doc --workspace --no-deps

# Licences, advisories, sources
deny:
    cargo deny check

# Everything in one process, or one service: just run, just run events
run target="all":
    cargo run --release -- serve --target {{target}}

# Every benchmark, printed as ratios
bench:
    scripts/bench

# What continuous integration runs
ci:
    scripts/test
