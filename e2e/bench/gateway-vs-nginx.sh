#!/bin/bash
# Compares the gateway with nginx as a reverse proxy in front of the same upstream, and prints ratios of requests per
# second: above 1 the gateway is faster. Both have two workers, no access log, and keep connections to the upstream.
#
#   cargo build --release -p quintet-gateway && e2e/bench/gateway-vs-nginx.sh [ROUNDS] [SECONDS]
#
# Needs nginx and wrk (Debian: apt-get install nginx-light wrk). See README.md for what was learned.
set -euo pipefail

rounds=${1:-7}
seconds=${2:-4}
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

nginx -p "$work" -c "$work/upstream.conf" & pids+=($!)
nginx -p "$work" -c "$work/proxy.conf" & pids+=($!)
url="http://127.0.0.1:$upstream"
QUINTET_DATA_DIR="$work/data" QUINTET_AUTH__MODE=open QUINTET_GATEWAY__LISTEN="127.0.0.1:$own" \
  QUINTET_GATEWAY__WORKERS=2 QUINTET_GATEWAY__UPSTREAMS__EVENTS="$url" QUINTET_GATEWAY__UPSTREAMS__TASKS="$url" \
  "$gateway" & pids+=($!)

for port in "$upstream" "$proxy" "$own"; do
  for _ in $(seq 100); do
    curl -sfo /dev/null "http://127.0.0.1:$port/v1/events" && continue 2
    sleep 0.1
  done
  echo "nothing answers at port $port" >&2
  exit 1
done

# Requests per second of one run; a run with a wrong answer does not count.
run() { # PORT PATH [SCRIPT]
  local out
  out=$(wrk -t1 -c"$connections" -d"${seconds}s" ${3:+-s "$3"} "http://127.0.0.1:$1$2")
  if grep -qE "Non-2xx|Socket errors" <<< "$out"; then echo "$out" >&2; exit 1; fi
  awk '/Requests\/sec/ { print $2 }' <<< "$out"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

printf '%-22s %12s %12s %8s   %s\n' scenario nginx/s gateway/s ratio "ratio of each round"
compare() { # NAME PATH [SCRIPT]
  local theirs=() ours=() ratios=() round a b
  run "$proxy" "$2" "${3:-}" > /dev/null
  run "$own" "$2" "${3:-}" > /dev/null
  for round in $(seq "$rounds"); do
    # Side by side and in turns, so that whatever else the machine does falls on both.
    if (( round % 2 )); then a=$(run "$proxy" "$2" "${3:-}"); b=$(run "$own" "$2" "${3:-}")
    else b=$(run "$own" "$2" "${3:-}"); a=$(run "$proxy" "$2" "${3:-}"); fi
    theirs+=("$a"); ours+=("$b"); ratios+=("$(awk "BEGIN { printf \"%.2f\", $b / $a }")")
  done
  printf '%-22s %12.0f %12.0f %8.2f   %s\n' "$1" "$(printf '%s\n' "${theirs[@]}" | median)" \
    "$(printf '%s\n' "${ours[@]}" | median)" "$(printf '%s\n' "${ratios[@]}" | median)" "${ratios[*]}"
}

compare "GET 1 KiB" /v1/events
compare "POST 1 KiB" /v1/notifications "$work/post.lua"
compare "GET 100 KiB streamed" /v1/tasks
