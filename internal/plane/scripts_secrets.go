// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// maxBulkSecrets is Cloudflare's limit for one secrets-bulk request.
const maxBulkSecrets = 100

// listSecrets shows names and types; nothing ever shows a value.
func (p *Plane) listSecrets(r *request) (*reply, error) {
	s, err := p.findScript(r)
	if err != nil {
		return nil, err
	}
	return ok(secretViews(s)), nil
}

func secretViews(s script) []object {
	out := []object{}
	if s.shown == nil {
		return out
	}
	for _, b := range s.shown.Bindings {
		if registry.IsSecret(b.Type) {
			out = append(out, object{"name": b.Name, "type": b.Type})
		}
	}
	return out
}

func (p *Plane) getSecret(r *request) (*reply, error) {
	s, err := p.findScript(r)
	if err != nil {
		return nil, err
	}
	for _, o := range secretViews(s) {
		if o["name"] == r.param("secret") {
			return ok(o), nil
		}
	}
	return nil, secretNotFound(r.param("secret"))
}

func secretNotFound(name string) *Error {
	return fail(http.StatusNotFound, codeBindingNotFound, "The secret %q does not exist on this Worker.", name)
}

// putSecret sets one secret in a new version and deploys it.
func (p *Plane) putSecret(r *request) (*reply, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	b, err := parseSecret(body)
	if err != nil {
		return nil, err
	}
	return p.editLatest(r, codeSecretsNotLive, triggeredBySecret, func(c *registry.VersionContent) error {
		setBinding(c, b)
		return nil
	}, func(registry.Worker, registry.Version) (*reply, error) {
		return ok(object{"name": b.Name, "type": b.Type}), nil
	})
}

// parseSecret reads one secret as the API writes it. Errors quote no value.
func parseSecret(body []byte) (registry.Binding, error) {
	list, err := upload.ParseBindings(slices.Concat([]byte("["), body, []byte("]")))
	if err != nil {
		return registry.Binding{}, err
	}
	if len(list) != 1 {
		return registry.Binding{}, fail(http.StatusBadRequest, codeBadBody, "The request body must be one secret: {name, text, type}.")
	}
	b := list[0]
	if !registry.IsSecret(b.Type) {
		return registry.Binding{}, invalid("binding %q has the type %q: a secret has the type secret_text", b.Name, b.Type)
	}
	if upload.KeepsValue(b) {
		return registry.Binding{}, invalid("the secret %q has no text", b.Name)
	}
	return b, nil
}

// setBinding puts b in, in the place of one with the same name.
func setBinding(c *registry.VersionContent, b registry.Binding) {
	removeBinding(c, b.Name)
	c.Bindings = append(c.Bindings, b)
	slices.SortFunc(c.Bindings, func(x, y registry.Binding) int { return strings.Compare(x.Name, y.Name) })
}

func removeBinding(c *registry.VersionContent, name string) {
	c.Bindings = slices.DeleteFunc(c.Bindings, func(b registry.Binding) bool { return b.Name == name })
}

// isSecretOf says whether name is a secret of c.
func isSecretOf(c *registry.VersionContent, name string) bool {
	return slices.ContainsFunc(c.Bindings, func(b registry.Binding) bool { return b.Name == name && registry.IsSecret(b.Type) })
}

// deleteSecret takes one secret out in a new version and deploys it.
func (p *Plane) deleteSecret(r *request) (*reply, error) {
	name := r.param("secret")
	return p.editLatest(r, codeSecretsNotLive, triggeredBySecret, func(c *registry.VersionContent) error {
		if !isSecretOf(c, name) {
			return secretNotFound(name)
		}
		removeBinding(c, name)
		return nil
	}, func(registry.Worker, registry.Version) (*reply, error) { return ok(nil), nil })
}

// patchSecrets sets and removes secrets by a merge patch, all in one new version.
func (p *Plane) patchSecrets(r *request) (*reply, error) {
	var body struct {
		Secrets map[string]json.RawMessage `json:"secrets"`
		Tags    map[string]json.RawMessage `json:"version_tags"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if len(body.Secrets) > maxBulkSecrets {
		return nil, invalid("%d secrets are more than the %d that one request may change: send several", len(body.Secrets), maxBulkSecrets)
	}
	var set []registry.Binding
	var remove []string
	for name, raw := range body.Secrets {
		if string(raw) == "null" {
			remove = append(remove, name)
			continue
		}
		b, err := parseNamedSecret(name, raw)
		if err != nil {
			return nil, err
		}
		set = append(set, b)
	}
	return p.editLatest(r, codeSecretsNotLive, triggeredBySecret, func(c *registry.VersionContent) error {
		for _, name := range remove {
			if isSecretOf(c, name) { // a merge patch may remove what is not there
				removeBinding(c, name)
			}
		}
		for _, b := range set {
			setBinding(c, b)
		}
		c.Annotations = map[string]string{}
		for key, raw := range body.Tags {
			var text string
			if json.Unmarshal(raw, &text) == nil {
				c.Annotations[key] = text
			}
		}
		return nil
	}, func(w registry.Worker, v registry.Version) (*reply, error) {
		byName := object{}
		for _, o := range secretViews(script{worker: w, shown: &v}) {
			if name, isText := o["name"].(string); isText {
				byName[name] = o
			}
		}
		return ok(byName), nil
	})
}

// parseNamedSecret reads a member of a bulk patch, which may leave out its name and
// its type.
func parseNamedSecret(name string, raw json.RawMessage) (registry.Binding, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return registry.Binding{}, fail(http.StatusBadRequest, codeBadBody, "The secret %q must be an object {text, type} or null.", name)
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return registry.Binding{}, err
	}
	members["name"] = quoted
	if members["type"] == nil {
		members["type"] = json.RawMessage(`"secret_text"`)
	}
	body, err := json.Marshal(members)
	if err != nil {
		return registry.Binding{}, err
	}
	return parseSecret(body)
}
