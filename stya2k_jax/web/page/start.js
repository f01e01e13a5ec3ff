// --- Which of the three is this? ------------------------------------------------------------

if (typeof ServiceWorkerGlobalScope !== "undefined") startHeaders();
else if (typeof DedicatedWorkerGlobalScope !== "undefined") startPainter();
else startPage();
