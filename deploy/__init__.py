"""Starting and stopping Wiredesk on one machine, and its containers."""
