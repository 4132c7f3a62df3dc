#!/usr/bin/env bash
# amqp-tools, the programs of rabbitmq-c: `bash program.sh amqp://user:password@host:port/%2F
# [scenario ...]`. Prints one line of JSON per scenario: what it saw, or what went wrong.
# They have no transactions, confirms or returns, and know no exchange but by its name.
set -uo pipefail

url=$1
shift
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

declare_queue() { amqp-declare-queue --url="$url" --queue="$1" >/dev/null; }
publish() { amqp-publish --url="$url" "$@"; }
get() { amqp-get --url="$url" --queue="$1"; }

equal() {
    [ "$1" = "$2" ] && return
    echo "${1:0:200}, not ${2:0:200}" >&2
    return 1
}

refused_login() {
    amqp-get --url="${url/guest:guest/guest:wrong}" --queue=any 2>"$errors" && return 1
    cat "$errors"
}

exchange_types() {
    local pid
    # Declares and binds its queue itself; ends after the second message that matches.
    amqp-consume --url="$url" --queue=shell.topic --exchange=amq.topic --routing-key='a.*' \
        --count=2 cat >"$errors.topic" &
    pid=$!
    for _ in $(seq 200); do
        publish --exchange=amq.topic --routing-key=a.b --body='[a.b]' || return
        publish --exchange=amq.topic --routing-key=b.a --body='[b.a]' || return
        kill -0 $pid 2>/dev/null || break
        sleep 0.02
    done
    wait $pid
    equal "$(cat "$errors.topic")" '[a.b][a.b]'
    local outcome=$?
    rm -f "$errors.topic"
    return $outcome
}

prefetch() {
    declare_queue shell.prefetch
    seq 50 | publish --line-buffered --routing-key=shell.prefetch || return
    local came
    came=$(amqp-consume --url="$url" --queue=shell.prefetch --prefetch-count=10 --count=50 cat) || return
    equal "$came" "$(seq 50)"
}

# What a command fails with goes back to the queue.
requeue() {
    declare_queue shell.requeue
    publish --routing-key=shell.requeue --body=again || return
    timeout 1 amqp-consume --url="$url" --queue=shell.requeue --count=1 false 2>/dev/null
    equal "$(amqp-consume --url="$url" --queue=shell.requeue --count=1 cat)" again
}

missing_queue() {
    amqp-get --url="$url" --queue=shell.missing 2>"$errors" && return 1
    cat "$errors"
}

large_message() {
    declare_queue shell.large
    head -c 2097152 /dev/zero | tr '\0' x | publish --routing-key=shell.large || return
    equal "$(get shell.large | md5sum)" "$(head -c 2097152 /dev/zero | tr '\0' x | md5sum)"
}

unicode_names() {
    declare_queue 'shell.žluťoučký 🐇'
    publish --routing-key='shell.žluťoučký 🐇' --body=tělo --header='klíč: hodnota' || return
    equal "$(get 'shell.žluťoučký 🐇')" tělo
}

heartbeats() {
    declare_queue shell.heartbeats
    (sleep 3.5 && publish --routing-key=shell.heartbeats --body=late) &
    equal "$(amqp-consume --url="$url" --heartbeat=1 --queue=shell.heartbeats --count=1 cat)" late
}

both_at_once() {
    declare_queue shell.both
    (seq 5000 | publish --line-buffered --routing-key=shell.both) &
    local came
    came=$(amqp-consume --url="$url" --queue=shell.both --no-ack --count=5000 cat)
    wait
    equal "$came" "$(seq 5000)"
}

escape() { sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | tr '\n' ' '; }

run() {
    local name=$1 seen
    shift
    if [ $# = 0 ] || printf '%s\n' "$@" | grep -Fxq "$name"; then
        if seen=$(${name//[ -]/_} 2>&1); then
            printf '{"scenario": "%s", "seen": "%s"}\n' "$name" "$(escape <<<"$seen")"
        else
            printf '{"scenario": "%s", "problem": "%s"}\n' "$name" "$(escape <<<"$seen")"
        fi
    fi
}

printf '{"library": "%s"}\n' "amqp-tools $(dpkg-query -W -f '${Version}' amqp-tools 2>/dev/null || true)"
for scenario in 'refused login' 'exchange types' prefetch requeue 'missing queue' \
    'large message' 'unicode names' heartbeats 'both at once'; do
    run "$scenario" "$@"
done
