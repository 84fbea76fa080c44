"""Checks deploy/: each module renders or reads one kind of file, and says which files it covered.

    kustomize, helm, values ─▶ documents ─▶ schemas   Kubernetes' own, and the Prometheus Operator's
                                        └─▶ pods      our rules: probes, token, grace; and what the program says, with
                                                      its files laid by mounts
    prometheus                configuration           promtool
    mixin                     alerts, dashboard and runbooks, and what is made from them
    chart                     the chart's README, values and schema
    aws                       CloudFormation, Terraform
    sources                   names of settings, versions, hadolint, shellcheck

What is rendered here was applied to no cluster.
"""
