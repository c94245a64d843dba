// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/hybridge/terraform-provider-hybridge/internal/leak"
	"github.com/hybridge/terraform-provider-hybridge/internal/tunnelrule"
)

func newTunnel(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Look at the ingress rules of tunnels",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] != "help" {
				return usageError("unknown command %q; \"hybridge tunnel --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTunnelTest(p))
	return cmd
}

func newTunnelTest(p process) *cobra.Command {
	var tunnel, config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test [flags] URL",
		Short: "Say which ingress rule serves a URL, and why",
		Long: `Say which ingress rule serves a URL, and why the rules before it do not. No request
is made to the URL.

Asked is the plane of CLOUDFLARE_BASE_URL (default: Cloudflare's), CLOUDFLARE_ACCOUNT_ID
and CLOUDFLARE_API_TOKEN, about the tunnels that have a rule for the host name, or about
the one that --tunnel names. With --config the rules are those of a file: cloudflared's
config.yml, or what the API calls the configuration, as JSON.

It exits with 1 if no rule but a catch-all serves the URL, or the rules are not valid.`,
		Example: `  hybridge tunnel test https://app.example.com/admin
  hybridge tunnel test --tunnel paris-1 https://app.example.com/
  hybridge tunnel test --config config.yml app.example.com --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("exactly one URL is needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			host, path, err := hostAndPath(args[0])
			if err != nil {
				return err
			}
			var all []ruleSet
			if config != "" {
				if tunnel != "" {
					return usageError("--tunnel and --config exclude each other")
				}
				one, err := rulesOfFile(config)
				if err != nil {
					return err
				}
				all = []ruleSet{one}
			} else if all, err = rulesOfPlane(p, tunnel); err != nil {
				return err
			}
			return judge(p, all, tunnel != "" || config != "", host, path, asJSON)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&tunnel, "tunnel", "", "`NAME` or id of a tunnel")
	fs.StringVar(&config, "config", "", "`FILE` with the rules")
	fs.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// ruleSet is a tunnel's rules.
type ruleSet struct {
	name   string // as the user knows it
	config tunnelrule.Config
}

// hostAndPath reads a URL; its scheme may be left out.
func hostAndPath(text string) (host, path string, err error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "", "", usageError("%q is no URL: write it as https://app.example.com/path", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.Hostname(), u.Path, nil
}

func rulesOfPlane(p process, tunnel string) ([]ruleSet, error) {
	ctx, stop := untilSignal()
	defer stop()
	plane, err := leak.Environment(p.getenv, "hybridge/"+version)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	client, err := plane.Open(ctx)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	list, err := client.ListTunnels(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []ruleSet
	for _, t := range list {
		if tunnel != "" && tunnel != t.Name && tunnel != t.ID {
			continue
		}
		got, err := client.TunnelConfig(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		set := ruleSet{name: "tunnel " + t.Name}
		if got.Config != nil {
			if set.config, err = tunnelrule.Parse(got.Config); err != nil {
				return nil, fmt.Errorf("the configuration of the tunnel %q: %w", t.Name, err)
			}
		}
		all = append(all, set)
	}
	if tunnel != "" && len(all) == 0 {
		return nil, fmt.Errorf("%s has no tunnel %q", client.BaseURL(), tunnel)
	}
	return all, nil
}

// rulesOfFile reads cloudflared's config.yml or the API's JSON, which is YAML too.
func rulesOfFile(file string) (ruleSet, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return ruleSet{}, &exitError{exitUsage, err}
	}
	var whole map[string]any
	if err := yaml.Unmarshal(text, &whole); err != nil {
		return ruleSet{}, &exitError{exitUsage, fmt.Errorf("reading %s: %s", file, yaml.FormatError(err, false, true))}
	}
	if inner, ok := whole["config"].(map[string]any); ok {
		whole = inner
	}
	if whole["ingress"] == nil {
		return ruleSet{}, &exitError{exitUsage, fmt.Errorf("%s has no ingress rules", file)}
	}
	asJSON, err := json.Marshal(inSeconds(whole))
	if err != nil {
		return ruleSet{}, &exitError{exitUsage, fmt.Errorf("reading %s: %w", file, err)}
	}
	config, err := tunnelrule.Parse(asJSON)
	if err != nil {
		return ruleSet{}, &exitError{exitUsage, fmt.Errorf("reading %s: %w", file, err)}
	}
	return ruleSet{file, config}, nil
}

// durations are settings that config.yml writes as 30s, and the API as 30.
var durations = map[string]bool{"connectTimeout": true, "tlsTimeout": true, "tcpKeepAlive": true, "keepAliveTimeout": true}

// inSeconds brings the times of config.yml into the API's form.
func inSeconds(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if text, ok := member.(string); ok && durations[name] {
				if d, err := time.ParseDuration(text); err == nil && d%time.Second == 0 {
					v[name] = int64(d / time.Second)
					continue
				}
			}
			v[name] = inSeconds(member)
		}
	case []any:
		for i := range v {
			v[i] = inSeconds(v[i])
		}
	}
	return v
}

// ruleView is a rule in the result.
type ruleView struct {
	Hostname string `json:"hostname,omitempty"`
	Path     string `json:"path,omitempty"`
	Service  string `json:"service"`
	Serves   bool   `json:"serves"`
	Why      string `json:"why,omitempty"` // it does not
}

// testView is the result for a tunnel.
type testView struct {
	Tunnel string     `json:"tunnel"`
	Rule   int        `json:"rule"` // number of the one that serves, from 1; 0 is none
	Rules  []ruleView `json:"rules"`

	catchAll bool
}

// judge says of each tunnel that has a rule for the host, or of all if they were named,
// which rule serves it.
func judge(p process, all []ruleSet, named bool, host, path string, asJSON bool) error {
	views, served := []testView{}, false
	for _, set := range all {
		problems := set.config.Validate()
		if set.config.Ingress == nil { // a tunnel that nobody has configured
			problems = nil
		}
		if len(problems) > 0 {
			for _, problem := range problems {
				fmt.Fprintf(p.stderr, "%s: %s\n", set.name, problem)
			}
			if named {
				return &exitError{code: 1}
			}
			continue // another tunnel may serve it
		}
		m, err := tunnelrule.NewMatcher(set.config.Ingress)
		if err != nil {
			return err
		}
		if !named && !m.Hosts(host) {
			continue
		}
		view := testView{Tunnel: set.name, Rules: []ruleView{}}
		why := m.Explain(host, path)
		for i, r := range set.config.Ingress {
			one := ruleView{Hostname: r.Hostname, Path: r.Path, Service: r.Service, Why: "a rule before it serves"}
			if i < len(why) {
				one.Why, one.Serves = why[i], why[i] == ""
			}
			if one.Serves {
				view.Rule, view.catchAll = i+1, r.IsCatchAll()
			}
			view.Rules = append(view.Rules, one)
		}
		served = served || view.Rule > 0 && !view.catchAll
		views = append(views, view)
	}
	if asJSON {
		if err := printJSON(p.stdout, views); err != nil {
			return err
		}
	} else {
		printTests(p.stdout, views, host, path)
	}
	if !served {
		return &exitError{code: 1}
	}
	return nil
}

func printTests(w io.Writer, views []testView, host, path string) {
	if len(views) == 0 {
		fmt.Fprintf(w, "no tunnel has a rule for %s\n", host)
	}
	for _, v := range views {
		switch {
		case v.Rule == 0:
			fmt.Fprintf(w, "%s: no rule serves %s%s\n", v.Tunnel, host, path)
		case v.catchAll:
			fmt.Fprintf(w, "%s: only the catch-all (rule %d) serves %s%s\n", v.Tunnel, v.Rule, host, path)
		default:
			fmt.Fprintf(w, "%s: rule %d serves %s%s\n", v.Tunnel, v.Rule, host, path)
		}
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for i, r := range v.Rules {
			text := r.Why
			if r.Serves {
				text = "serves it"
			}
			fmt.Fprintf(t, "  %d\t%s\t%s\t%s\t%s\n", i+1, orDash(r.Hostname), orDash(r.Path), r.Service, text)
		}
		_ = t.Flush()
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
