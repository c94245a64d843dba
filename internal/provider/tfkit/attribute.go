// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	dsschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// PlaneAttribute is the attribute plane of every resource. Changing it replaces
// the object: it would live on another machine.
func PlaneAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Optional: true,
		MarkdownDescription: "Name of the plane to use, a key of the provider's `planes`. " +
			"Default: the plane that the provider block itself configures. A change replaces the object.",
		PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
		Validators:    []validator.String{PlaneName()},
	}
}

// AccountAttribute is the computed attribute account_id of every resource. It is
// kept so that an object is never looked for in another account than its own.
func AccountAttribute() schema.StringAttribute {
	return schema.StringAttribute{
		Computed:            true,
		MarkdownDescription: "Account that the object lives in, as configured for the plane. Never changes.",
		PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
	}
}

// DataSourcePlaneAttribute is the attribute plane of every data source.
func DataSourcePlaneAttribute() dsschema.StringAttribute {
	return dsschema.StringAttribute{
		Optional: true,
		MarkdownDescription: "Name of the plane to ask, a key of the provider's `planes`. " +
			"Default: the plane that the provider block itself configures.",
		Validators: []validator.String{PlaneName()},
	}
}

// IdentityAttributes are the attributes that every identity schema has.
func IdentityAttributes(more map[string]identityschema.Attribute) map[string]identityschema.Attribute {
	attributes := map[string]identityschema.Attribute{
		"account_id": identityschema.StringAttribute{
			RequiredForImport: true,
			Description:       "Account that the object lives in.",
		},
		"plane": identityschema.StringAttribute{
			OptionalForImport: true,
			Description:       "Name of the plane, a key of the provider's planes. Default: the default plane.",
		},
	}
	for name, a := range more {
		attributes[name] = a
	}
	return attributes
}
