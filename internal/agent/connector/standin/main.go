// SPDX-License-Identifier: MPL-2.0

// Command standin behaves like cloudflared towards its supervisor: the version
// line, the metrics server with /ready, log lines, exit codes, and the grace
// after SIGTERM. It connects to nothing. What it does is in the file that has its
// own path with ".json" appended, read at every start and at every /ready; what it saw is appended to
// the one with ".starts". For tests.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector/standintest"
)

func main() {
	own, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Printf("cloudflared version %s (built 2025-01-01-0000 UTC)\n", behaviour(own).Version)
		return
	}
	os.Exit(run(own))
}

func behaviour(own string) (b standintest.Behaviour) {
	if text, err := os.ReadFile(own + ".json"); err == nil {
		_ = json.Unmarshal(text, &b)
	}
	return b
}

func flag(name string) string {
	if i := slices.Index(os.Args, name); i >= 0 && i+1 < len(os.Args) {
		return os.Args[i+1]
	}
	return ""
}

func run(own string) int {
	b := behaviour(own)
	token := os.Getenv("TUNNEL_TOKEN")
	if file := flag("--token-file"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "ERR Failed to read token file:", err)
			return 1
		}
		token = strings.TrimSpace(string(text))
	}
	record(own, standintest.Start{PID: os.Getpid(), Argv: os.Args, Env: os.Environ(), Token: token, Event: "start"})
	fmt.Fprintln(os.Stderr, "INF Starting tunnel with", token) // a careless line
	if b.Exit != 0 {
		fmt.Fprintln(os.Stderr, "ERR Provided Tunnel token is not valid.")
		return b.Exit
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		b := behaviour(own)
		n, status := b.Connections, http.StatusOK
		if slices.Contains(b.Refused, token) || n == 0 {
			n, status = 0, http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"readyConnections":%d,"connectorId":"00000000-0000-4000-8000-%012d"}`, status, n, os.Getpid())
	})
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(flag("--metrics"), nil) }() //nolint:gosec // loopback, for tests
	select {
	case err := <-failed:
		fmt.Fprintln(os.Stderr, "ERR Error opening metrics server listener:", err)
		return 1
	case <-term:
		fmt.Fprintln(os.Stderr, "INF Initiating graceful shutdown due to signal terminated ...")
		time.Sleep(time.Duration(b.GraceMillis) * time.Millisecond)
		record(own, standintest.Start{PID: os.Getpid(), Token: token, Event: "end"})
		return 0
	}
}

func record(own string, s standintest.Start) {
	line, _ := json.Marshal(s)
	f, err := os.OpenFile(own+".starts", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.Write(append(line, '\n'))
}
