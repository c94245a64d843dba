// SPDX-License-Identifier: MPL-2.0

package connector

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/supervise"
)

// Remedy says how to get cloudflared, which we never fetch ourselves.
const Remedy = "install Cloudflare's package \"cloudflared\" (developers.cloudflare.com, Tunnel, Downloads) and name its path with cloudflared: in agent.yaml"

const (
	versionTimeout = 10 * time.Second
	// grace is cloudflared's own default for requests in flight at its end; stopGrace
	// leaves it time to end by itself.
	grace     = 30 * time.Second
	stopGrace = grace + 5*time.Second
)

// tokenFileSince is the first version that knows --token-file.
var tokenFileSince = [2]int{2025, 4}

var versionForm = regexp.MustCompile(`cloudflared version (\d{4})\.(\d+)\.(\d+)`)

// Find is the path of cloudflared: the configured one, else the one on PATH.
func Find(configured string) (string, error) {
	if configured == "" {
		path, err := exec.LookPath("cloudflared")
		if err != nil {
			return "", fmt.Errorf("finding cloudflared: it is not on PATH: %s", Remedy)
		}
		return path, nil
	}
	if info, err := os.Stat(configured); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("finding cloudflared: %s is no executable: %s", configured, Remedy)
	}
	return configured, nil
}

// Version asks a cloudflared for its version, and whether it knows --token-file.
func Version(ctx context.Context, path string) (version string, tokenFile bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return "", false, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	m := versionForm.FindStringSubmatch(string(out))
	if m == nil {
		return "", false, fmt.Errorf("asking %s for its version: this is not cloudflared: %s", path, Remedy)
	}
	year, _ := strconv.Atoi(m[1])
	month, _ := strconv.Atoi(m[2])
	known := year > tokenFileSince[0] || year == tokenFileSince[0] && month >= tokenFileSince[1]
	return m[1] + "." + m[2] + "." + m[3], known, nil
}

// tokenPath is where a cloudflared finds its token: a pipe that handOver has filled. So it
// starts with the token that was checked, also when it is started again after its source has changed, and
// the token of another source than a file touches no disk.
var tokenPath = fmt.Sprintf("/dev/fd/%d", supervise.FirstFD)

// maxTokenBytes is far above any token and less than a pipe takes without a reader.
const maxTokenBytes = 4 << 10

// handOver returns the read end of a pipe that holds the token and nothing after it.
func handOver(token string) ([]*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("handing the token over: %w", err)
	}
	_, err = io.WriteString(w, token)
	if err = errors.Join(err, w.Close()); err != nil {
		r.Close()
		return nil, fmt.Errorf("handing the token over: %w", err)
	}
	return []*os.File{r}, nil
}

// command is how a connector is started, as a value. The token is never in
// argv: it is at tokenPath, or in the environment of this child alone where it
// does not know --token-file.
func command(path, metrics string, knowsFile bool, token string) (argv, env []string) {
	argv = []string{path, "tunnel", "--no-autoupdate", "--metrics", metrics, "--grace-period", grace.String(), "run"}
	if knowsFile {
		argv = append(argv, "--token-file", tokenPath)
	} else {
		env = append(env, "TUNNEL_TOKEN="+token)
	}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return argv, env
}

// CheckToken refuses what is no token, or one of another tunnel, without quoting it.
func CheckToken(token, tunnelID string) error {
	if len(token) > maxTokenBytes {
		return errors.New("it is far too long for a tunnel token")
	}
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		text, err = base64.RawStdEncoding.DecodeString(token)
	}
	var t struct {
		Tunnel string `json:"t"`
		Secret string `json:"s"`
	}
	if err != nil || json.Unmarshal(text, &t) != nil || t.Tunnel == "" || t.Secret == "" {
		return errors.New("it holds no tunnel token: write what \"cloudflared tunnel token\" or hybridge_tunnel_token gives")
	}
	if !strings.EqualFold(t.Tunnel, tunnelID) {
		return fmt.Errorf("its token is of tunnel %s, not of tunnel_id %s", t.Tunnel, tunnelID)
	}
	return nil
}

// readiness is what cloudflared answers at /ready.
type readiness struct {
	Connections int    `json:"readyConnections"`
	ConnectorID string `json:"connectorId"`
}

// askReady asks a cloudflared's metrics server. Without connections it answers
// 503, which is an answer: it is connecting, and must not be killed for that.
func askReady(ctx context.Context, client *http.Client, metrics string) (readiness, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metrics+"/ready", nil)
	if err != nil {
		return readiness{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return readiness{}, err
	}
	defer resp.Body.Close()
	var r readiness
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return r, fmt.Errorf("/ready answered %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&r); err != nil {
		return r, fmt.Errorf("/ready answered no JSON: %w", err)
	}
	return r, nil
}

// freePort is a loopback address that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
