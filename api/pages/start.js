// Shows this server's own description; asks no validator or other host.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
