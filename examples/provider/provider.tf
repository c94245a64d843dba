terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# The default plane comes from the environment: CLOUDFLARE_API_TOKEN,
# CLOUDFLARE_ACCOUNT_ID, and CLOUDFLARE_BASE_URL for a plane of your own.
# Further planes have names.
provider "hybridge" {
  planes = {
    paris = {
      base_url   = "https://workers.paris.example.com/client/v4"
      account_id = "0123456789abcdef0123456789abcdef"
      region     = "fr"

      # Cloudflare Access stands before it, and lets this service token pass.
      access = {
        client_id          = "88bf3b6d86161464f6509f7219099e57.access"
        client_secret_sops = { file = "${path.module}/paris.enc.yaml", key = "access_client_secret" }
      }

      # Decrypted when the plane is asked something, and only then.
      api_token_sops = {
        file = "${path.module}/paris.enc.yaml"
        key  = "api_token"
      }
    }
    tokyo = {
      base_url   = "https://workers.tokyo.example.com/client/v4"
      account_id = "0123456789abcdef0123456789abcdef"
      api_token  = var.tokyo_token
    }
    # The agent on this very machine.
    here = {
      base_url       = "unix:///run/hybridge/api.sock"
      account_id     = "0123456789abcdef0123456789abcdef"
      api_token_sops = { file = "${path.module}/here.enc.yaml", key = "api_token" }
    }
  }

  sops = {
    age_key_file = pathexpand("~/.config/hybridge/age.txt")
  }
}

# Without `ephemeral`, a saved plan file would hold the token.
variable "tokyo_token" {
  type      = string
  ephemeral = true
}
