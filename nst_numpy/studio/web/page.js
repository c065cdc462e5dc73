// What the page does without the server: files that are dropped, pasted or chosen, and the sentence when it is gone.

function say(sentence) {
  document.getElementById("alert").textContent = sentence;
}

async function send(role, files) {
  say("");
  for (const file of files) {
    document.body.classList.add("sending");
    try {
      const answer = await fetch(`/images/${role}`, {
        method: "POST",
        headers: { "X-Name": encodeURIComponent(file.name), "Content-Type": "application/octet-stream" },
        body: file,
      });
      if (!answer.ok) say(await answer.text());
    } catch {
      say(`${file.name} could not be sent: it is too large, or the studio has stopped.`);
    }
    document.body.classList.remove("sending");
  }
}

document.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  send(event.target.dataset.role, [...event.target.files]);
  event.target.value = "";
});

document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  const area = document.activeElement.closest(".images") || document.querySelector(".images");
  if (files.length) send(area.querySelector("[type=file]").dataset.role, files);
});

// What the gallery shows is in the browser's cache: it can be downloaded when the studio has ended, too.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[download][href^='/pictures/']");
  if (!link) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { cache: "force-cache" });
    const file = Object.assign(document.createElement("a"), { download: link.download });
    file.href = URL.createObjectURL(await answer.blob());
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 60000);
  } catch {
    say(`${link.download} could not be loaded: the studio has stopped. Look for it in the folder studio_pictures.`);
  }
});

// A file that misses its place is not opened instead of the page.
for (const type of ["dragover", "drop"])
  document.addEventListener(type, (event) => event.target.type === "file" || event.preventDefault());

document.addEventListener("DOMContentLoaded", () => {
  const popup = document.getElementById("popup");
  popup.setAttribute("role", "alert");
  popup.innerHTML =
    "<span>The studio does not answer: it has stopped, or the connection is lost.</span>" +
    "<span>The pictures in the gallery can still be downloaded here. When it ends, it keeps those that nobody has " +
    "downloaded in the folder studio_pictures.</span>";
});
