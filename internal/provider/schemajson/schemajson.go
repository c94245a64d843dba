// SPDX-License-Identifier: MPL-2.0

// Package schemajson writes a provider's schemas in the form of `terraform
// providers schema -json`, from the provider itself. Terraform before 1.12 leaves
// out identity schemas, and before 1.14 list resources and actions: the
// documentation must not depend on which Terraform is installed.
package schemajson

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// formatVersion is that of Terraform's own output.
const formatVersion = "1.0"

type document struct {
	FormatVersion   string                    `json:"format_version"`
	ProviderSchemas map[string]providerSchema `json:"provider_schemas"`
}

type providerSchema struct {
	Provider           *schema                   `json:"provider"`
	Resources          map[string]schema         `json:"resource_schemas,omitempty"`
	DataSources        map[string]schema         `json:"data_source_schemas,omitempty"`
	EphemeralResources map[string]schema         `json:"ephemeral_resource_schemas,omitempty"`
	ListResources      map[string]schema         `json:"list_resource_schemas,omitempty"`
	Actions            map[string]schema         `json:"action_schemas,omitempty"`
	Functions          map[string]function       `json:"functions,omitempty"`
	Identities         map[string]identitySchema `json:"resource_identity_schemas,omitempty"`
}

type function struct {
	Description        string       `json:"description,omitempty"`
	Summary            string       `json:"summary,omitempty"`
	DeprecationMessage string       `json:"deprecation_message,omitempty"`
	ReturnType         tftypes.Type `json:"return_type"`
	Parameters         []parameter  `json:"parameters,omitempty"`
	VariadicParameter  *parameter   `json:"variadic_parameter,omitempty"`
}

type parameter struct {
	Name        string       `json:"name,omitempty"`
	Description string       `json:"description,omitempty"`
	IsNullable  bool         `json:"is_nullable,omitempty"`
	Type        tftypes.Type `json:"type"`
}

type schema struct {
	Version int64 `json:"version"`
	Block   block `json:"block"`
}

type block struct {
	Attributes      map[string]attribute `json:"attributes,omitempty"`
	Description     string               `json:"description,omitempty"`
	DescriptionKind string               `json:"description_kind,omitempty"`
	Deprecated      bool                 `json:"deprecated,omitempty"`
}

type attribute struct {
	Type            tftypes.Type `json:"type,omitempty"`
	NestedType      *nestedType  `json:"nested_type,omitempty"`
	Description     string       `json:"description,omitempty"`
	DescriptionKind string       `json:"description_kind,omitempty"`
	Deprecated      bool         `json:"deprecated,omitempty"`
	Required        bool         `json:"required,omitempty"`
	Optional        bool         `json:"optional,omitempty"`
	Computed        bool         `json:"computed,omitempty"`
	Sensitive       bool         `json:"sensitive,omitempty"`
	WriteOnly       bool         `json:"write_only,omitempty"`
}

type nestedType struct {
	Attributes  map[string]attribute `json:"attributes"`
	NestingMode string               `json:"nesting_mode"`
}

type identitySchema struct {
	Version    int64                        `json:"version"`
	Attributes map[string]identityAttribute `json:"attributes"`
}

type identityAttribute struct {
	Type              tftypes.Type `json:"type"`
	Description       string       `json:"description,omitempty"`
	RequiredForImport bool         `json:"required_for_import,omitempty"`
	OptionalForImport bool         `json:"optional_for_import,omitempty"`
}

// Marshal returns the schemas of server, under the provider's short name.
func Marshal(ctx context.Context, name string, server tfprotov6.ProviderServer) ([]byte, error) {
	all, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err == nil {
		err = failed(all.Diagnostics)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the provider for its schemas: %w", err)
	}
	identities, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err == nil {
		err = failed(identities.Diagnostics)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the provider for its identity schemas: %w", err)
	}

	p := providerSchema{
		Resources: convert(all.ResourceSchemas), DataSources: convert(all.DataSourceSchemas),
		EphemeralResources: convert(all.EphemeralResourceSchemas), ListResources: convert(all.ListResourceSchemas),
		Actions:    map[string]schema{},
		Functions:  convertFunctions(all.Functions),
		Identities: map[string]identitySchema{},
	}
	if all.Provider != nil {
		s := convertSchema(all.Provider)
		p.Provider = &s
	}
	for kind, s := range all.ActionSchemas {
		p.Actions[kind] = convertSchema(s.Schema)
	}
	for kind, s := range identities.IdentitySchemas {
		converted := identitySchema{Version: s.Version, Attributes: map[string]identityAttribute{}}
		for _, a := range s.IdentityAttributes {
			converted.Attributes[a.Name] = identityAttribute{
				Type: a.Type, Description: a.Description, RequiredForImport: a.RequiredForImport, OptionalForImport: a.OptionalForImport,
			}
		}
		p.Identities[kind] = converted
	}
	return json.MarshalIndent(document{FormatVersion: formatVersion, ProviderSchemas: map[string]providerSchema{name: p}}, "", "  ")
}

func failed(diags []*tfprotov6.Diagnostic) error {
	for _, d := range diags {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			return fmt.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
	return nil
}

func convert(schemas map[string]*tfprotov6.Schema) map[string]schema {
	converted := make(map[string]schema, len(schemas))
	for name, s := range schemas {
		converted[name] = convertSchema(s)
	}
	return converted
}

func convertFunctions(functions map[string]*tfprotov6.Function) map[string]function {
	converted := make(map[string]function, len(functions))
	for name, f := range functions {
		c := function{Description: f.Description, Summary: f.Summary, DeprecationMessage: f.DeprecationMessage, ReturnType: f.Return.Type}
		for _, p := range f.Parameters {
			c.Parameters = append(c.Parameters, *convertParameter(p))
		}
		c.VariadicParameter = convertParameter(f.VariadicParameter)
		converted[name] = c
	}
	return converted
}

func convertParameter(p *tfprotov6.FunctionParameter) *parameter {
	if p == nil {
		return nil
	}
	return &parameter{Name: p.Name, Description: p.Description, IsNullable: p.AllowNullValue, Type: p.Type}
}

func convertSchema(s *tfprotov6.Schema) schema {
	return schema{Version: s.Version, Block: block{
		Attributes:      convertAttributes(s.Block.Attributes),
		Description:     s.Block.Description,
		DescriptionKind: kind(s.Block.DescriptionKind),
		Deprecated:      s.Block.Deprecated,
	}}
}

func convertAttributes(attributes []*tfprotov6.SchemaAttribute) map[string]attribute {
	converted := make(map[string]attribute, len(attributes))
	for _, a := range attributes {
		c := attribute{
			Type: a.Type, Description: a.Description, DescriptionKind: kind(a.DescriptionKind), Deprecated: a.Deprecated,
			Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: a.Sensitive, WriteOnly: a.WriteOnly,
		}
		if n := a.NestedType; n != nil {
			c.NestedType = &nestedType{Attributes: convertAttributes(n.Attributes), NestingMode: strings.ToLower(n.Nesting.String())}
		}
		converted[a.Name] = c
	}
	return converted
}

func kind(k tfprotov6.StringKind) string {
	if k == tfprotov6.StringKindMarkdown {
		return "markdown"
	}
	return "plain"
}
