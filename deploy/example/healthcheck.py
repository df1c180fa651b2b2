"""Ends with 0 if the service has written just now."""
import urllib.request

urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=3)
