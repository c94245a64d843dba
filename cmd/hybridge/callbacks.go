// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"net/netip"
	"net/url"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/gate"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/outbox"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// wantedCallbacks are those of --rollout-callback, with the key of their signatures.
func (f devFlags) wantedCallbacks() ([]outbox.Receiver, error) {
	switch {
	case len(f.callbacks) == 0 && f.callbackSecret != "":
		return nil, usageError("--rollout-callback-secret-file is for --rollout-callback, which names no URL")
	case len(f.callbacks) == 0:
		return nil, nil
	case f.callbackSecret == "":
		return nil, usageError("--rollout-callback needs --rollout-callback-secret-file: without a signature nobody can tell who calls")
	}
	text, err := sealed.ReadKeyFile(f.callbackSecret)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	key, err := gate.Key(bytes.TrimSpace(text))
	if err != nil {
		return nil, usageError("%s holds no key for signatures: %w", f.callbackSecret, err)
	}
	var out []outbox.Receiver
	for _, text := range f.callbacks {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
			return nil, usageError("--rollout-callback must be an https URL without credentials, or an http one of this machine")
		}
		out = append(out, outbox.Receiver{URL: text, Secret: key})
	}
	return out, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}
