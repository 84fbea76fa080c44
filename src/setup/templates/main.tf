# Lets one identity write to one AMP workspace with amp-sidecar.
# Made by amp-sidecar <<version>> setup aws.
<<#provider>>
# If the account already has an OIDC provider for this issuer, import it first:
#
#   terraform import aws_iam_openid_connect_provider.amp_sidecar <<provider_arn>>
<</provider>>

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
<<#token>>
      version = ">= 5.81" # the first version without a required thumbprint_list
<</token>>
<<#certificate>>
      version = ">= 4.26" # the first version with Roles Anywhere
<</certificate>>
<<#pod>>
      version = ">= 5.29" # the first version with aws_eks_pod_identity_association
<</pod>>
    }
  }
}

<<#provider>>
resource "aws_iam_openid_connect_provider" "amp_sidecar" {
  # The tokens' exact iss, including a trailing slash, here and in the trust policy's keys.
  url            = <<issuer>>
  client_id_list = [<<audience>>]
}

<</provider>>
<<#certificate>>
resource "aws_rolesanywhere_trust_anchor" "amp_sidecar" {
  name    = <<role>>
  enabled = true
  source {
    source_type = "CERTIFICATE_BUNDLE"
    source_data {
      x509_certificate_data = <<ca>>
    }
  }
}

resource "aws_rolesanywhere_profile" "amp_sidecar" {
  name      = <<role>>
  enabled   = true
  role_arns = [aws_iam_role.amp_sidecar.arn]
}

<</certificate>>
resource "aws_iam_role" "amp_sidecar" {
  name        = <<role>>
  description = <<description>>
<<#provider>>
  depends_on  = [aws_iam_openid_connect_provider.amp_sidecar]
<</provider>>

  assume_role_policy = jsonencode(
    <<trust_policy>>
  )
}

resource "aws_iam_role_policy" "amp_sidecar" {
  name = "amp-sidecar"
  role = aws_iam_role.amp_sidecar.id

  policy = jsonencode(
    <<permission_policy>>
  )
}

<<#pod>>
resource "aws_eks_pod_identity_association" "amp_sidecar" {
  cluster_name    = <<cluster>>
  namespace       = <<namespace>>
  service_account = <<service_account>>
  role_arn        = aws_iam_role.amp_sidecar.arn
}

<</pod>>
<<#certificate>>
output "trust_anchor_arn" {
  description = "For the sidecar's AMP_SIDECAR_TRUST_ANCHOR_ARN, with AMP_SIDECAR_CREDENTIALS=roles-anywhere"
  value       = aws_rolesanywhere_trust_anchor.amp_sidecar.arn
}

output "profile_arn" {
  description = "For the sidecar's AMP_SIDECAR_PROFILE_ARN"
  value       = aws_rolesanywhere_profile.amp_sidecar.arn
}

<</certificate>>
output "role_arn" {
<<#token>>
  description = "For the sidecar's AWS_ROLE_ARN"
<</token>>
<<#certificate>>
  description = "For the sidecar's AWS_ROLE_ARN"
<</certificate>>
<<#pod>>
  description = "The role that EKS assumes for the pods; the sidecar's setting is AMP_SIDECAR_CREDENTIALS=container"
<</pod>>
  value       = aws_iam_role.amp_sidecar.arn
}
<<#certificate>>

# The certificate, where cert-manager has an issuer of this CA; mount its Secret as a folder:
#
<<certificate>>
<</certificate>>
