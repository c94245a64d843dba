// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/daemon"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/tokens"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// keeper keeps the tokens of the plane that the flags and the environment name.
func (f *tokenFlags) keeper(ctx context.Context, p process) (tokens.Keeper, error) {
	log, err := newLog(p.stderr, "text", p.getenv(logVariable), hclog.Info)
	if err != nil {
		return nil, err
	}
	account, token := p.getenv("CLOUDFLARE_ACCOUNT_ID"), p.getenv("CLOUDFLARE_API_TOKEN")
	switch {
	case f.data != "" && f.config != "":
		return nil, usageError("--data and --config name two planes: give one of them")
	case f.data != "":
		keeper, err := tokens.OpenDirectory(ctx, f.data, account, log)
		var inUse *registry.InUseError
		if errors.As(err, &inUse) {
			return nil, fmt.Errorf("the plane in %s runs (pid %s): leave --data out, and set CLOUDFLARE_BASE_URL and CLOUDFLARE_API_TOKEN to ask it", f.data, inUse.PID)
		}
		return keeper, err
	case f.config == "" && token != "":
		base := p.getenv("CLOUDFLARE_BASE_URL")
		if base == "" {
			return nil, usageError("CLOUDFLARE_BASE_URL is not set: tokens of Cloudflare are made in its dashboard")
		}
		return tokens.Connect(ctx, base, token, account)
	}
	path := f.config
	if path == "" {
		path = defaultAgentFile
	}
	file, err := readAgentFile(onMachine(p), path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("no plane is known: name it with --config or --data, or set CLOUDFLARE_BASE_URL and CLOUDFLARE_API_TOKEN (%s is not there)", path)
	}
	if err != nil {
		return nil, err
	}
	if file.Plane == nil {
		return nil, usageError("%s configures no plane", path)
	}
	keeper, err := tokens.OpenDirectory(ctx, file.DataDir, account, log)
	var inUse *registry.InUseError
	if errors.As(err, &inUse) {
		return connectAgent(ctx, file, token, account)
	}
	return keeper, err
}

// connectAgent asks the plane of a running agent.
func connectAgent(ctx context.Context, file *agentfile.File, token, account string) (tokens.Keeper, error) {
	if token == "" {
		path := daemon.InitialTokenFile(file)
		text, err := credential.Read(path)
		if err != nil {
			return nil, fmt.Errorf("the agent runs, and its initial token cannot be used: %w: set CLOUDFLARE_API_TOKEN to a token that can make others", err)
		}
		token, account = string(text), "" // its own
	}
	base := file.Plane.API.Listen
	if !agentfile.IsUnix(base) {
		scheme := "http://"
		if file.Plane.API.TLS != nil {
			scheme = "https://"
		}
		base = scheme + base + "/client/v4"
	}
	return tokens.Connect(ctx, base, token, account)
}
