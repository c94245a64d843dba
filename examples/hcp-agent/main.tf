terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# Which plane this is, and as whom, comes from the hook of the agent, run by run: a plan gets
# a token that may read, an apply one that may deploy. No variable of the workspace holds any.
provider "hybridge" {}

data "hybridge_plane" "here" {}

module "api" {
  source = "../../modules/worker"

  name               = "api"
  compatibility_date = "2026-11-01"
  script             = "export default { fetch: () => new Response('deployed by an agent beside the plane') }"

  # What HCP shows of a run is all that it may know.
  message = "HCP Terraform"
}

# That a run was meant for this machine is checked, and not assumed.
check "plane" {
  assert {
    condition     = data.hybridge_plane.here.kind == "self-hosted"
    error_message = "The run is not on an agent beside a self-hosted plane: look at the workspace's agent pool."
  }
}

output "url" {
  value = module.api.url
}
