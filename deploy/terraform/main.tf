# What AWS needs: an IAM OIDC provider for the cluster's issuer, and a role that trusts one service account of that cluster
# and may write to one workspace.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  issuer       = trimprefix(var.issuer_url, "https://")
  region       = coalesce(var.workspace_region, data.aws_region.current.region)
  provider_arn = coalesce(var.provider_arn, one(aws_iam_openid_connect_provider.cluster[*].arn))
}

resource "aws_iam_openid_connect_provider" "cluster" {
  count          = var.provider_arn == null ? 1 : 0
  url            = var.issuer_url
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "prometheus" {
  name        = var.role_name
  description = "Prometheus ${var.namespace}/${var.service_account} writes to ${var.workspace_id}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = local.provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = {
        "${local.issuer}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
        "${local.issuer}:aud" = "sts.amazonaws.com"
      } }
    }]
  })
}

resource "aws_iam_role_policy" "remote_write" {
  name = "remote-write"
  role = aws_iam_role.prometheus.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "aps:RemoteWrite"
      Resource = "arn:${data.aws_partition.current.partition}:aps:${local.region}:${data.aws_caller_identity.current.account_id}:workspace/${var.workspace_id}"
    }]
  })
}
