// The consultant's journey in Firefox, by WebDriver BiDi: a request on standard input, what was met
// on standard output, both JSON. An error ends it with status 1 and the step that failed.
import { readFileSync } from 'node:fs';
import puppeteer from 'puppeteer-core';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const met = { clicks: 0, complaints: [], elsewhere: [], steps: [] };
const host = new URL(asked.address).host;
let step = 'start';

const browser = await puppeteer.launch({
  browser: 'firefox', executablePath: asked.firefox, headless: true,
  extraPrefsFirefox: { 'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false },
});

async function open(who) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(asked.patience_ms);
  await page.setViewport({ width: 1280, height: 900 });
  page.on('console', (message) => { if (message.type() === 'error') met.complaints.push(message.text()); });
  page.on('pageerror', (error) => met.complaints.push(String(error)));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (['http:', 'https:'].includes(url.protocol) && url.host !== host) met.elsewhere.push(request.url());
  });
  await page.goto(`${asked.address}/accounts/login/`);
  await page.type('[name=login]', who.email);
  await page.type('[name=password]', who.password);
  await press(page, 'main button[type=submit]', 'Sign in');
  await page.waitForFunction(() => !location.pathname.includes('/login/'));
  return page;
}

/** The element of a selector that says or is labelled something, once it is there and shown. */
async function find(page, selector, says, patience = asked.patience_ms) {
  const handle = await page.waitForFunction((css, words) => [...document.querySelectorAll(css)].find((one) => (
    `${one.innerText} ${one.getAttribute('aria-label') ?? ''}`.includes(words) && one.checkVisibility()
  )), { timeout: patience }, selector, says);
  return handle.asElement();
}

async function press(page, selector, says, patience) {
  const one = await find(page, selector, says, patience);
  // Not by the mouse: what loads above it moves it away between aiming and pressing.
  await one.evaluate((element) => element.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true })));
  met.clicks += 1;
}

async function does(name, work) {
  step = name;
  const result = await work();
  met.steps.push(name);
  return result;
}

async function journey() {
  const page = await does('signs in', () => open(asked.consultant));
  await does('chooses the files', async () => {
    await page.waitForNetworkIdle();
    await (await page.$('#upload-files')).uploadFile(...asked.files);
    met.clicks += 1;
    await press(page, 'button', `Upload ${asked.files.length} files`);
    await page.waitForFunction(() => location.pathname.startsWith('/uploads/'));
  });
  const study = await does('waits for the study', async () => {
    const link = await page.waitForSelector('main a[href^="/studies/"]', { timeout: asked.analysis_ms });
    const address = await link.evaluate((one) => one.href);
    await page.goto(address);
    met.clicks += 1;
    await find(page, 'h2', 'Flow maps', asked.analysis_ms);
    return page.url().split('?')[0].split('#')[0];
  });
  await does('plays the films', async () => {
    // A page that is not in front pauses its films.
    await page.bringToFront();
    await page.waitForNetworkIdle();
    await press(page, '#cine-play', 'Play all');
    await page.waitForFunction(() => [...document.querySelectorAll('video[data-cine]')].every((film) => film.played.length > 0));
  });
  await does('opens the workspace', async () => {
    await press(page, 'a, button', 'Open in the workspace');
    await page.waitForSelector('#workspace[data-ready]');
    // What the pointer says is what the array holds, at places all over the muscle.
    met.probe = await page.evaluate(() => {
      const canvas = document.querySelector('#workspace canvas');
      const context = canvas.getContext('2d', { willReadFrequently: true });
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      let coloured = 0;
      for (let at = 0; at < data.length; at += 4) coloured += Number(Math.abs(data[at] - data[at + 2]) > 8);
      return { coloured, pixels: data.length / 4 };
    });
    await press(page, '[data-segment="1"]', '');
    await page.waitForFunction(() => document.getElementById('ws-sentence').textContent.includes('The fitted curve leaves'));
    await press(page, 'a', 'Comment on this place');
    await page.waitForSelector('[name=text]');
    await page.type('[name=text]', 'Looked at in Firefox.');
    await press(page, 'button', 'Keep the comment');
    await find(page, '#discussion', 'Looked at in Firefox.');
  });
  await does('sets a value aside', async () => {
    await press(page, 'a', 'Accept the values, or set some aside');
    await page.waitForSelector('[name=stress-10]');
    await page.select('[name=stress-10]', 'dark_rim');
    met.clicks += 1;
    await press(page, 'button', 'Keep, and accept all the rest');
    await find(page, '.app-read', '1 set aside');
  });
  await does('signs the report', async () => {
    await press(page, 'a, button', 'Write the report');
    await page.waitForSelector('#report-text');
    const text = await page.$eval('#report-text', (box) => box.value);
    if (!text.includes('Mid inferior at stress (dark rim')) throw new Error('the text does not say what was set aside');
    await press(page, 'button', 'Save and sign');
    await find(page, 'main', 'The report is signed.');
  });
  await does('asks a colleague', async () => {
    await page.goto(`${study}share/`);
    met.clicks += 1;
    await page.type('[name=to_email]', asked.colleague.email);
    await page.type('[name=reason]', 'second opinion');
    await page.type('[name=question]', 'Is the inferior wall believable?');
    await press(page, 'main button[type=submit]', 'Share');
    await find(page, 'main', 'Shared with');
  });
  const other = await does('the colleague signs in', () => open(asked.colleague));
  await does('the colleague answers', async () => {
    const counted = met.clicks;
    await press(other, 'a', 'Question from Northside NHS Trust');
    await other.waitForSelector('#id_quality_0');
    await other.$eval('#id_quality_0', (one) => one.click());
    await other.$eval('[name=finding][value=no_defect]', (one) => one.click());
    await press(other, 'button', 'Sign and send the answer');
    await find(other, 'main', 'Your answer is signed and has gone back.');
    met.clicks = counted;
  });
  await does('the answer is in the study', async () => {
    await page.goto(study);
    await find(page, 'main', 'No perfusion defect seen');
  });
}

try {
  await journey();
} catch (error) {
  console.error(`Firefox, ${step}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
console.log(JSON.stringify(met));
