// SPDX-License-Identifier: MPL-2.0

// Package openapi holds the contract of what a self-hosted plane offers beyond
// Cloudflare's API.
package openapi

import _ "embed"

// HybridgeV1 is the OpenAPI document of /hybridge/v1, in YAML.
//
//go:embed hybridge-v1.yaml
var HybridgeV1 []byte
