"""The whole order protocol in memory: hub, stations and a hostile broker between them, on clocks moved by hand."""
