// --- Which of the two is this? --------------------------------------------------------------

if (typeof DedicatedWorkerGlobalScope !== "undefined") startPainter();
else startPage();
