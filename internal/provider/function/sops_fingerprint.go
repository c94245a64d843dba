// SPDX-License-Identifier: MPL-2.0

// Package function has the provider's functions. They are pure and offline, and
// need no configured provider.
package function

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/tfkit"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

var _ function.Function = fingerprint{}

type fingerprint struct{}

// NewSOPSFingerprint makes the function sops_fingerprint.
func NewSOPSFingerprint() function.Function { return fingerprint{} }

func (fingerprint) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "sops_fingerprint"
}

func (fingerprint) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Identify secrets in a SOPS file without a key",
		MarkdownDescription: "Returns the SHA-256 digest, in hexadecimal, of the ciphertext that stands at a key path of a SOPS file. It needs no key and tells nothing that the file does not, " +
			"so it may be stored: give it to a `*_wo_version` argument, and the write-only value beside it is written again whenever the secret was edited. " +
			"An edit of another key and `sops updatekeys` leave it as it is; `sops rotate`, or encrypting the file anew, changes it although no value has changed.\n\n" +
			"Of a map, a list or, without a key, the whole file it is the digest of the lines `PATH DIGEST` (each ended by a line feed) of all encrypted values in it, in the order of the file; " +
			"with several keys that of such lines for these keys, in the order in which they are given.",
		Parameters:        []function.Parameter{textParameter()},
		VariadicParameter: function.StringParameter{Name: "key", MarkdownDescription: "Key path such as `db.password`, `hosts[0].token` or `[\"name.with.dots\"]`. Without one it is about the whole file."},
		Return:            function.StringReturn{},
	}
}

// textParameter is the first parameter of every function about a SOPS file.
func textParameter() function.StringParameter {
	return function.StringParameter{
		Name:                "text",
		MarkdownDescription: "The encrypted file's text, e.g. from `file(\"${path.module}/secrets.enc.yaml\")`: YAML, JSON, dotenv, INI or binary, told apart by what stands in it.",
	}
}

func (fingerprint) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	var keys []string
	if resp.Error = req.Arguments.Get(ctx, &text, &keys); resp.Error != nil {
		return
	}
	file, failure := parse(text)
	if failure != nil {
		resp.Error = failure
		return
	}
	digest, argument, err := fingerprintOf(file, keys)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(argument, detail(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, digest)
}

// fingerprintOf is the digest of what the keys name. argument is the one that an
// error is about.
func fingerprintOf(file *sealed.File, keys []string) (digest string, argument int64, err error) {
	if len(keys) == 0 {
		digest, err = file.Digest(nil)
		return digest, 0, err
	}
	var lines strings.Builder
	for i, key := range keys {
		path, err := sealed.ParsePath(key)
		if err == nil && len(path) == 0 {
			err = &sealed.Error{Code: sealed.BadPath, Detail: "it is empty; without a key it is about the whole file"}
		}
		if err == nil {
			digest, err = file.Digest(path)
		}
		if err != nil {
			return "", int64(i + 1), err
		}
		fmt.Fprintf(&lines, "%s %s\n", path, digest)
	}
	if len(keys) > 1 {
		sum := sha256.Sum256([]byte(lines.String()))
		digest = hex.EncodeToString(sum[:])
	}
	return digest, 0, nil
}

// parse reads a text that has no name. Its errors are about argument 0.
func parse(text string) (*sealed.File, *function.FuncError) {
	file, err := sealed.Parse("", sealed.Sniff(text), []byte(text))
	if err != nil {
		return nil, function.NewArgumentFuncError(0, detail(err))
	}
	return file, nil
}

// detail is what is wrong, without the full stop that Terraform adds to the errors
// of functions.
func detail(err error) string { return strings.TrimSuffix(tfkit.SealedDetail(err), ".") }
