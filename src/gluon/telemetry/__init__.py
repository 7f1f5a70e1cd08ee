"""What servers and shims show of themselves: metrics that Prometheus reads, traces that go to a collector.

Knows of etcd's client alone: nothing of models, databases or HTTP. What is counted comes in as numbers, and
nothing that happens here changes what a server does.
"""
