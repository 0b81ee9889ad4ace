#!/bin/bash
# Compares the gateway with nginx as a reverse proxy in front of the same upstream, and prints ratios of requests per
# second: above 1 the gateway is faster. Both have two workers, no access log, and keep connections to the upstream.
# The last column compares the processor time that each spends on a request (below 1 the gateway is cheaper); it stays
# telling when the machine has other work.
#
#   cargo build --release -p quintet-gateway && e2e/bench/gateway-vs-nginx.sh [ROUNDS] [SECONDS]
#
# Needs nginx and wrk (Debian: apt-get install nginx-light wrk). See README.md for what was learned.
set -euo pipefail

rounds=${1:-25}
seconds=${2:-1}
connections=${CONNECTIONS:-64}
here=$(cd "$(dirname "$0")" && pwd)
gateway=${GATEWAY:-$here/../../target/release/gateway}
work=$(mktemp -d)
pids=()

finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

need() { command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install $2" >&2; exit 1; }; }
need nginx nginx-light
need wrk wrk
[ -x "$gateway" ] || { echo "$gateway is missing: cargo build --release -p quintet-gateway" >&2; exit 1; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
upstream=$(free_port) proxy=$(free_port) own=$(free_port)

mkdir -p "$work/files" "$work/data" "$work/temp"
chmod 755 "$work"
head -c 1024 /dev/zero | tr '\0' 'x' > "$work/files/small"
head -c 102400 /dev/zero | tr '\0' 'x' > "$work/files/large"

common="daemon off; error_log /dev/stderr crit; pid $work/PID.pid; worker_processes 2;
events { worker_connections 4096; }"
http="access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s; client_body_buffer_size 256k;
client_body_temp_path $work/temp/a; proxy_temp_path $work/temp/b; fastcgi_temp_path $work/temp/c;
uwsgi_temp_path $work/temp/d; scgi_temp_path $work/temp/e;"

# The upstream answers from memory and files; POST bodies are read and thrown away.
cat > "$work/upstream.conf" <<CONF
${common/PID/upstream}
http { $http
  sendfile on;
  server { listen 127.0.0.1:$upstream;
    location = /v1/events { alias $work/files/small; }
    location = /v1/tasks { alias $work/files/large; }
    location = /v1/notifications { client_max_body_size 10m; return 202 "{}"; }
  }
}
CONF

cat > "$work/proxy.conf" <<CONF
${common/PID/proxy}
http { $http
  upstream service { server 127.0.0.1:$upstream; keepalive 256; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$proxy;
    location / {
      proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host \$http_host;
      proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_busy_buffers_size 64k;
    }
  }
}
CONF

cat > "$work/post.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = string.rep("x", 1024)
LUA

await() { # PORT
  for _ in $(seq 500); do
    curl -sfo /dev/null "http://127.0.0.1:$1/v1/events" && return
    sleep 0.02
  done
  echo "nothing answers at port $1" >&2
  exit 1
}

nginx -p "$work" -c "$work/upstream.conf" & pids+=($!)
await "$upstream"

# Clock ticks that a process and its children have used.
ticks() {
  local pid total=0
  for pid in "$1" $(pgrep -P "$1" || true); do
    total=$((total + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
  done
  echo "$total"
}

start() { # nginx|gateway
  if [ "$1" = nginx ]; then
    exec nginx -p "$work" -c "$work/proxy.conf"
  fi
  export QUINTET_DATA_DIR="$work/data" QUINTET_AUTH__MODE=open RUST_LOG=warn QUINTET_GATEWAY__LISTEN="127.0.0.1:$own"
  export QUINTET_GATEWAY__WORKERS=2 QUINTET_GATEWAY__UPSTREAMS__EVENTS="http://127.0.0.1:$upstream"
  export QUINTET_GATEWAY__UPSTREAMS__TASKS="http://127.0.0.1:$upstream"
  exec "$gateway"
}

# Requests per second, and ticks for a million requests, of one run; a run with a wrong answer does not count. Each run
# starts its server anew: a process keeps the luck of its start (where its memory and threads lie) for all its life.
run() { # nginx|gateway PATH [SCRIPT]
  local port=$own pid out before after load=(wrk -t1 -c"$connections" ${3:+-s "$3"})
  [ "$1" = gateway ] || port=$proxy
  start "$1" & pid=$!
  await "$port"
  "${load[@]}" -d1s "http://127.0.0.1:$port$2" > /dev/null # warms up
  before=$(ticks "$pid")
  out=$("${load[@]}" -d"${seconds}s" "http://127.0.0.1:$port$2")
  after=$(ticks "$pid")
  kill "$pid" && wait "$pid" || true
  if grep -qE "Non-2xx|Socket errors" <<< "$out"; then echo "$out" >&2; exit 1; fi
  awk -v ticks=$((after - before)) '/requests in/ { count = $1 } /Requests\/sec/ { print $2, ticks * 1e6 / count }' <<< "$out"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

printf '%-22s %10s %10s %7s %10s   %s\n' scenario nginx/s gateway/s ratio cpu-ratio "ratio of each round"
compare() { # NAME PATH [SCRIPT]
  local theirs=() ours=() ratios=() costs=() round a b
  for round in $(seq "$rounds"); do
    # Side by side and in turns, so that whatever else the machine does falls on both.
    if (( round % 2 )); then
      read -ra a < <(run nginx "${@:2}"); read -ra b < <(run gateway "${@:2}")
    else
      read -ra b < <(run gateway "${@:2}"); read -ra a < <(run nginx "${@:2}")
    fi
    theirs+=("${a[0]}"); ours+=("${b[0]}"); ratios+=("$(ratio "${b[0]}" "${a[0]}")"); costs+=("$(ratio "${b[1]}" "${a[1]}")")
  done
  printf '%-22s %10.0f %10.0f %7.2f %10.2f   %s\n' "$1" "$(printf '%s\n' "${theirs[@]}" | median)" \
    "$(printf '%s\n' "${ours[@]}" | median)" "$(printf '%s\n' "${ratios[@]}" | median)" \
    "$(printf '%s\n' "${costs[@]}" | median)" "${ratios[*]}"
}

compare "GET 1 KiB" /v1/events
compare "POST 1 KiB" /v1/notifications "$work/post.lua"
compare "GET 100 KiB streamed" /v1/tasks
